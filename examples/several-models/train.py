"""Train two models on scikit-learn's wine data (it comes with the package); one has two versions.

178 wines from three growers, thirteen measurements each; the answer is the grower.
"""

from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

MODELS = Path(__file__).parent / "azureml-models"
RECIPES = {
    ("wine-linear", 1): make_pipeline(StandardScaler(), LogisticRegression()),
    ("wine-trees", 1): DecisionTreeClassifier(random_state=0),
    ("wine-trees", 2): RandomForestClassifier(n_estimators=50, random_state=0),
}


def main() -> None:
    """Fit each, say how good it is on wines it has not seen, and save."""
    wines, growers = load_wine(return_X_y=True)
    seen, unseen, answers, held_back = train_test_split(wines, growers, random_state=0)
    for (name, version), model in RECIPES.items():
        folder = MODELS / name / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(model.fit(seen, answers), folder / "model.joblib")
        right = model.score(unseen, held_back)
        print(f"{name} {version}: {right:.1%} right on {len(unseen)} wines it has not seen")


if __name__ == "__main__":
    main()
