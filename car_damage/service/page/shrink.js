// A photo that is too large to be sent, made smaller in the browser.

const MID_GREY = "#808080"; // what the service lays transparent photos over
const QUALITY = 0.9; // of the JPEG, 0 to 1

// The photo upright, as a JPEG of at most so many pixels; null if this browser cannot read it.
export async function shrink(file, pixels) {
  let photo;
  try {
    // Upright by default. The service does not convert colours either.
    photo = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    return null;
  }
  const scale = Math.min(1, Math.sqrt(pixels / (photo.width * photo.height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(scale * photo.width);
  canvas.height = Math.round(scale * photo.height);
  const ink = canvas.getContext("2d");
  ink.fillStyle = MID_GREY;
  ink.fillRect(0, 0, canvas.width, canvas.height);
  ink.imageSmoothingQuality = "high";
  ink.drawImage(photo, 0, 0, canvas.width, canvas.height);
  photo.close();
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
}
