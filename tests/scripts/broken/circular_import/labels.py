from features import scale

NAMES = ["no", "yes", scale(1)]
