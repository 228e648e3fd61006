// Model output to DOM. The text is untrusted: it may have been written by whoever wrote the prompt.

import DOMPurify from "dompurify";
import { Marked } from "marked";

const TAGS = ["p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "a"];
const HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"];
const TABLES = ["table", "thead", "tbody", "tr", "th", "td"];

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escape(text), // shown as written
    image: ({ text }) => escape(text), // an image would tell its host that the reply was read
  },
});

/** Markdown as a fragment without scripts, images, styles, forms or ids. Links open in a new tab without a referrer or opener. */
export function renderMarkdown(text: string): DocumentFragment {
  const html = marked.parse(text, { async: false });
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: [...TAGS, ...HEADINGS, ...TABLES],
    ALLOWED_ATTR: ["href", "start", "align"],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) {
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
  }
  for (const block of fragment.querySelectorAll("pre, table")) block.setAttribute("tabindex", "0"); // they scroll sideways
  return fragment;
}

/** Shows growing Markdown in `target`. Finished blocks are left alone, so that a selection in them survives. */
export function markdownView(target: HTMLElement): (text: string) => void {
  let shown: string[] = [];
  return (text) => {
    const blocks = marked
      .lexer(text)
      .filter((token) => token.type !== "space")
      .map((token) => token.raw);
    // Reference links are resolved by the whole text; such rare replies are rendered as one block.
    const wanted = /^\[[^\]]+\]:/m.test(text) ? [text] : blocks;
    let same = 0;
    while (same < shown.length && shown[same] === wanted[same]) same++;
    while (target.children.length > same) target.lastElementChild?.remove();
    for (const block of wanted.slice(same)) {
      const holder = document.createElement("div");
      holder.append(renderMarkdown(block));
      target.append(holder);
    }
    shown = wanted;
  };
}
