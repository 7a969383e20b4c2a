// What the course book adds to mdBook: the other language in the menu bar, French words
// for the interface, and diagrams.
const french = document.documentElement.lang === 'fr';
const page = location.pathname.split('/').pop() || 'index.html';

document.querySelector('.right-buttons').prepend(
  Object.assign(document.createElement('a'), {
    className: 'language',
    href: french ? `../en/${page}` : `../fr/${page}`,
    hreflang: french ? 'en' : 'fr',
    lang: french ? 'en' : 'fr',
    textContent: french ? 'English' : 'Français',
  }),
);

if (french) {
  document.querySelector('#mdbook-searchbar').placeholder = 'Chercher dans le livre…';
  const titles = { Tip: 'Astuce', Warning: 'Attention', Caution: 'Danger' };
  for (const title of document.querySelectorAll('.blockquote-tag-title')) {
    const word = title.lastChild;
    word.textContent = word.textContent.replace(/\w+/, (english) => titles[english] ?? english);
  }
}

// mdBook takes the output for commands; here only lines after a dollar are.
for (const block of document.querySelectorAll('code.language-console')) {
  const lines = block.textContent.split(/^(\$ .*)$/m).map((text, odd) =>
    (odd % 2 ? Object.assign(document.createElement('b'), { textContent: text }) : text));
  block.replaceChildren(...lines);
}

// The Markdown of a diagram stays in the page as code until it is drawn, and when it
// cannot be drawn.
const diagrams = [...document.querySelectorAll('code.language-mermaid')].map((code) => {
  const figure = document.createElement('figure');
  figure.className = 'diagram';
  return { code, figure, text: code.textContent };
});

let drawn;

const draw = async () => {
  const dark = ['ayu', 'coal', 'navy'].some((theme) =>
    document.documentElement.classList.contains(theme));
  if (drawn === dark) return;
  drawn = dark;
  mermaid.initialize({
    startOnLoad: false,
    theme: dark ? 'dark' : 'neutral',
    fontFamily: getComputedStyle(document.body).fontFamily,
  });
  for (const [number, { code, figure, text }] of diagrams.entries()) {
    const { svg } = await mermaid.render(`diagram-${number}`, text);
    figure.innerHTML = svg;
    const { style } = figure.firstElementChild;
    style.minWidth = `min(${style.maxWidth}, 52rem)`;
    code.closest('pre')?.replaceWith(figure);
  }
};

if (diagrams.length) {
  const script = document.createElement('script');
  script.src = '../mermaid.js';
  script.onload = () => document.fonts.ready.then(draw);
  document.head.append(script);
  const themes = new MutationObserver(() => globalThis.mermaid && draw());
  themes.observe(document.documentElement, { attributeFilter: ['class'] });
}
