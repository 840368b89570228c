// Make a photo that is too large to send smaller, in the browser.

const MID_GREY = "#808080"; // the background that the service gives transparent photos
const QUALITY = 0.9; // of the JPEG, 0 to 1

// Return the upright photo as a JPEG of at most `pixels`, or null if this browser cannot read it.
export async function shrink(file, pixels) {
  let photo;
  try {
    // The browser turns it upright by default. Colours stay as they are, as in the service.
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
