"""Train on scikit-learn's breast cancer data (it comes with the package): 569 tumours."""

from pathlib import Path

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODEL = Path(__file__).parent / "azureml-models" / "breast-cancer" / "1" / "model.joblib"
COLUMNS = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "mean symmetry"]


def main() -> None:
    """Fit, say how good it is on tumours it has not seen, and save."""
    table, benign = load_breast_cancer(return_X_y=True, as_frame=True)
    seen, unseen, answers, held_back = train_test_split(table[COLUMNS], benign, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(seen, answers)
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, MODEL)
    right = model.score(unseen, held_back)
    print(f"{right:.1%} right on {len(unseen)} tumours it has not seen")


if __name__ == "__main__":
    main()
