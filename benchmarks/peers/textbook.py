"""The textbook server: Flask and Keras's `model.predict`.

`python textbook.py` runs Flask's development server, and `gunicorn textbook:app` runs the same
application with gunicorn.
"""

import io
import os
from pathlib import Path

import keras
import numpy as np
from flask import Flask, request
from PIL import Image

app = Flask(__name__)
model = keras.models.load_model(Path(os.environ["VERSION_FOLDER"]) / "model.keras")


@app.post("/predict")
def predict() -> dict[str, float]:
    """Classify the photo in the form's field `image`."""
    photo = Image.open(io.BytesIO(request.files["image"].read())).convert("RGB")
    image = np.asarray(photo.resize((224, 224)))
    logit = model.predict(image[np.newaxis], verbose=0)["logit"][0, 0]
    return {"probability": float(1 / (1 + np.exp(-logit)))}


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))
