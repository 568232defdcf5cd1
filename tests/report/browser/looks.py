"""What can be measured of a page's looks."""

#: Text whose contrast to what lies behind it is below 4.5, as WCAG 2 measures it. What is switched
#: off may be paler.
PALE = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const straight = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.map((v) => straight(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  // In a picture: also the boxes that were drawn before the text, below its middle.
  const drawn = (text) => {
    const box = text.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    return [...text.closest("svg").querySelectorAll("rect")].reduce((colour, rect) => {
      const r = rect.getBoundingClientRect();
      const before = rect.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      const fill = getComputedStyle(rect).fill;
      const below = x >= r.left && x <= r.right && y >= r.top && y <= r.bottom;
      if (!before || !below || fill === "none") return colour;
      const [red, green, blue, a = 1] = numbers(fill);
      const share = a * Number(getComputedStyle(rect).fillOpacity);
      return [red, green, blue].map((v, i) => share * v + (1 - share) * colour[i]);
    }, behind(text));
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [];
  while (words.nextNode()) {
    const element = words.currentNode.parentElement;
    const said = words.currentNode.data.trim().slice(0, 40);
    if (!said || element.closest("script, title, [hidden], :disabled, .spoken")) continue;
    const style = getComputedStyle(element);
    const picture = element.closest("svg text");
    const ink = picture ? style.fill : style.color;
    const paper = picture ? drawn(picture) : behind(element);
    const [a, b] = [light(numbers(ink)), light(paper)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) pale.push(`${said}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(pale)];
}"""

#: How many pixels of each chart have nearly the colour ``[r, g, b]``.
PIXELS = """(colour) => [...document.querySelectorAll(".chart canvas")].map((canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200 && colour.every((v, k) => Math.abs(v - data[i + k]) < 24)) count++;
  }
  return count;
})"""

#: Room that the whole page needs to the right of its window.
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def rgb(colour):
    """``#0b3c6f`` as three numbers."""
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
