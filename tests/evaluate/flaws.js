// What a reader would stumble over on a page as it is rendered, a line for each.
(least) => {
  const flaws = new Set();
  const said = (text) => JSON.stringify(text.trim().slice(0, 40));
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  function rgba(colour) {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  const over = ([r, g, b, alpha], ground) => [r, g, b].map((part, n) => part * alpha + ground[n] * (1 - alpha));

  function ancestors(element) {
    const chain = [];
    for (let each = element; each; each = each.parentElement) chain.push(each);
    return chain;
  }

  function groundOf(element) {
    const fills = ancestors(element).map((each) => rgba(getComputedStyle(each).backgroundColor)).reverse();
    return fills.reduce((ground, fill) => over(fill, ground), [255, 255, 255]);
  }

  function luminance(colour) {
    const [red, green, blue] = colour.map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function contrast(element, drawing) {
    const style = getComputedStyle(element);
    const ground = groundOf(drawing ? drawing.parentElement : element);
    const opacity = ancestors(element).reduce((all, each) => all * Number(getComputedStyle(each).opacity), 1);
    const ink = over([...over(rgba(drawing ? style.fill : style.color), ground), opacity], ground);
    const [light, dark] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }

  function pixels(element, drawing) {
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (!drawing) return size * (element.currentCSSZoom ?? 1);
    const matrix = element.getScreenCTM();
    return size * Math.hypot(matrix.a, matrix.b);
  }

  if (document.documentElement.scrollWidth > innerWidth) flaws.add(`wider than the window: ${document.documentElement.scrollWidth}`);

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const box = range.getBoundingClientRect();
    const isSeen = box.width && box.height && element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    if (!texts.currentNode.data.trim() || !isSeen || element.closest(".spoken, script, style, title, :disabled")) continue;
    const size = pixels(element, element.ownerSVGElement);
    if (size < least - 0.01) flaws.add(`${size.toFixed(1)} px: ${said(texts.currentNode.data)}`);
    const seen = contrast(element, element.ownerSVGElement);
    if (seen < 4.5) flaws.add(`contrast ${seen.toFixed(2)}: ${said(texts.currentNode.data)}`);
  }

  for (const drawing of document.querySelectorAll("svg")) {
    const labels = [...drawing.querySelectorAll("text")].filter((text) => text.textContent.trim());
    const boxes = labels.map((label) => label.getBoundingClientRect());
    boxes.forEach((one, place) => boxes.slice(place + 1).forEach((other, distance) => {
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (across > 1 && down > 0.3 * Math.min(one.height, other.height)) {
        flaws.add(`labels overlap: ${said(labels[place].textContent)} and ${said(labels[place + 1 + distance].textContent)}`);
      }
    }));
  }

  for (const code of document.querySelectorAll("pre, pre > code")) {
    if (code.scrollWidth <= code.clientWidth + 1) continue;
    const canScroll = ancestors(code).some((each) => /auto|scroll/.test(getComputedStyle(each).overflowX));
    if (!canScroll) flaws.add(`code is cut off: ${said(code.textContent)}`);
  }
  return [...flaws];
}
