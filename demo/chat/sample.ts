// A generated long text: small scenes in shuffled order, with notes hidden among them.

const SCENES = [
  "Tom and Mia went to the park. They saw a big tree and a small pond. A frog sat on a stone and looked at the water.",
  "The rain began to fall, and everyone ran under the roof of the old barn. They told each other jokes until the sun came back.",
  "Ben found a red ball in the grass. He threw it high into the sky, and the dog ran after it with a happy bark.",
  "In the kitchen it smelled of bread and soup. Grandma put five bowls on the table and called the children in.",
  "A little bird had lost its way. Anna put some seeds on the window, and the bird came close and ate them all.",
  "They built a boat out of wood and paper. It was not a very good boat, but it swam all the way to the other side.",
  "The cat slept on the warm stones of the wall. When the bell rang it opened one eye and closed it again.",
  "Max wanted to climb the hill before lunch. Half way up he sat down, ate an apple and looked at the houses below.",
  "At night the wind was loud in the trees. Sue held her lamp and counted the stars until she was not afraid any more.",
  "The baker gave each child a small cake. The smallest child got the biggest cake, and nobody was angry about it.",
  "There was a train that stopped in the village once a day. The children waved, and sometimes the driver waved back.",
  "Jack had a box with a key, and a key with no box. He tried them together, and they did not fit at all.",
  "An old man sat by the river with his hat over his eyes. The fish knew him well and came to look at his feet.",
  "The garden was full of flowers. Lucy picked one of each colour and put them into a glass for her mother.",
  "One morning the whole street was white with snow. They made a snowman with a carrot nose and a blue scarf.",
  "A mouse lived behind the clock. Every evening it came out, took a crumb and ran back before the clock struck nine.",
] as const;

const NOTES = [
  "The secret word of Lily is garden.",
  "The magic number of Tom is 482.",
  "The favorite food of Mia is soup.",
] as const;

export const SAMPLE_QUESTION = "What is the secret word of Lily?";
/** What a reply that finds all notes says. */
export const SAMPLE_REPLY = NOTES.join(" ");
export const FOLLOW_UPS = ["What is the magic number of Tom?", "What is the favorite food of Mia?"] as const;

/** About `words` words of story with three notes in it: the same text every time. */
export function sampleText(words: number): string {
  const scenes: string[] = [];
  let state = 7;
  for (let length = 0; length < words;) {
    state = (state * 75 + 74) % 65537; // a small Lehmer generator: same shuffle everywhere
    const scene = SCENES[state % SCENES.length] ?? SCENES[0];
    if (scene === scenes.at(-1)) continue;
    scenes.push(scene);
    length += scene.split(" ").length;
  }
  NOTES.forEach((note, index) => {
    const place = Math.floor((scenes.length * (2 * index + 1)) / (2 * NOTES.length));
    scenes[place] = `${scenes[place]} ${note}`;
  });
  return scenes.join("\n\n");
}
