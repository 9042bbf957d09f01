// The film and the line over the figures show one moment; a click on the figures goes there.
for (const run of document.querySelectorAll(".time")) {
  const video = document.getElementById(run.dataset.film), line = run.querySelector(".cursor");
  if (!video) continue;
  const { left, right, seconds } = run.dataset;
  const at = (share) => +left + share * (right - left);
  const move = () => { line.style.left = `${100 * at(video.currentTime / seconds)}%`; line.hidden = false; };
  for (const kind of ["timeupdate", "seeked"]) video.addEventListener(kind, move);
  run.addEventListener("click", (event) => {
    const box = run.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
    video.currentTime = Math.max(0, Math.min(1, (share - left) / (right - left))) * seconds;
    move();
  });
}
