"""Train on scikit-learn's diabetes data (it comes with the package) and lay the model out.

442 patients, ten measurements each; the answer is a measure of how far the disease has
progressed a year later, from 25 to 346.
"""

from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODEL = Path(__file__).parent / "azureml-models" / "diabetes" / "1" / "model.joblib"


def main() -> None:
    """Fit, say how good it is on patients it has not seen, and save."""
    rows, progression = load_diabetes(return_X_y=True, scaled=False)
    seen, unseen, answers, held_back = train_test_split(rows, progression, random_state=0)
    model = make_pipeline(StandardScaler(), RidgeCV()).fit(seen, answers)
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, MODEL)
    print(f"R² {model.score(unseen, held_back):.2f} on {len(unseen)} patients it has not seen")


if __name__ == "__main__":
    main()
