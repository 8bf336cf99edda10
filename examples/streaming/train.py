"""Train a forest on scikit-learn's diabetes data (it comes with the package)."""

from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split

MODEL = Path(__file__).parent / "azureml-models" / "diabetes-forest" / "1" / "model.joblib"


def main() -> None:
    """Fit, say how good it is on patients it has not seen, and save."""
    rows, progression = load_diabetes(return_X_y=True, scaled=False)
    seen, unseen, answers, held_back = train_test_split(rows, progression, random_state=0)
    model = RandomForestRegressor(n_estimators=200, min_samples_leaf=5, random_state=0)
    model.fit(seen, answers)
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, MODEL)
    print(f"R² {model.score(unseen, held_back):.2f} on {len(unseen)} patients it has not seen")


if __name__ == "__main__":
    main()
