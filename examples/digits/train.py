"""Train on scikit-learn's handwritten digits (they come with the package).

1,797 images of 8 × 8 pixels; the answer is the digit.
"""

from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

MODEL = Path(__file__).parent / "azureml-models" / "digits" / "1" / "model.joblib"


def main() -> None:
    """Fit, say how good it is on images it has not seen, and save."""
    images, labels = load_digits(return_X_y=True)
    seen, unseen, answers, held_back = train_test_split(images, labels, random_state=0)
    model = SVC(gamma=0.001).fit(seen, answers)
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, MODEL)
    right = model.score(unseen, held_back)
    print(f"{right:.1%} right on {len(unseen)} images it has not seen")


if __name__ == "__main__":
    main()
