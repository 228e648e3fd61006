// Short passages with a question each: does the model find the right answer likelier than three wrong ones? What is
// asked stands in the passage, and so do most of the wrong answers.

export interface Question {
  passage: string;
  question: string;
  /** How the answer begins: given, not judged. */
  lead: string;
  answer: string;
  wrong: readonly [string, string, string];
}

export const QUESTIONS: readonly Question[] = [
  {
    passage:
      "Nina kept bees behind the school. In spring she sold the honey at the market, and with the money she bought paint for the old boat of her uncle. Her brother wanted the boat to be red, like the fire engine. Her uncle asked for white. But Nina had dreamed of a green boat all winter, and since the money was hers, the boat became green. On the first warm Sunday they rowed it across the lake.",
    question: "Which colour did the boat become?",
    lead: "The boat became",
    answer: "green",
    wrong: ["red", "white", "blue"],
  },
  {
    passage:
      "The mill stood at the end of the valley, and the miller had three animals. The donkey carried the sacks, the goose watched the door, and the cat was there for the mice. One night a thief came through the garden. The cat slept, and the donkey was in the meadow. But the goose heard the gate and made such a noise that the miller woke up, and the thief ran back into the wood.",
    question: "Who woke the miller?",
    lead: "The miller was woken by the",
    answer: "goose",
    wrong: ["donkey", "cat", "dog"],
  },
  {
    passage:
      "Every Friday Otto took the bus to his grandmother, who lived above the bakery. He always brought her something. In May it had been a basket of cherries, and in June a picture of the sea. This time he had nothing but a stone from the river, round and grey. She turned it over, put it on the window sill beside her bed, and said that it was the best present of all, because it would never go bad.",
    question: "Where did the grandmother put the stone?",
    lead: "She put the stone on the window sill beside her",
    answer: "bed",
    wrong: ["door", "chair", "oven"],
  },
  {
    passage:
      "The ferry to the island leaves at nine in the morning and comes back at five. On Mondays it stays in the harbour, because the captain has to clean the engine. Clara did not know that. She stood on the pier on a Monday with two suitcases and a parrot, and nobody came. In the end a fisherman took her along. The parrot talked all the way, and the fisherman asked for no money.",
    question: "Who took Clara to the island?",
    lead: "Clara was taken to the island by a",
    answer: "fisherman",
    wrong: ["captain", "parrot", "teacher"],
  },
  {
    passage:
      "A tailor had promised the mayor a coat by the end of the week. On Tuesday he cut the cloth, on Wednesday he sewed the sleeves, and on Thursday he found that he had no buttons. The shop in the town was closed. So he went into the kitchen, took six walnuts, cut them in half and painted them gold. The mayor wore the coat to the dance, and everybody asked where such buttons could be bought.",
    question: "What were the buttons made of?",
    lead: "The buttons were made of",
    answer: "walnuts",
    wrong: ["gold", "cloth", "stones"],
  },
  {
    passage:
      "When the storm was over, the children went to look at the big tree. It lay across the road with its roots in the air. Hugo found an old bottle where the tree had stood. Ruby found a coin with a hole in it. Little Dan dug longer than the others, and what he found was a key. They tried it on every door in the village. It fitted only the clock tower, which nobody had opened for forty years.",
    question: "What did Dan find?",
    lead: "Dan found a",
    answer: "key",
    wrong: ["bottle", "coin", "ring"],
  },
  {
    passage:
      "The cook of the castle was famous for his soup, but he never told anyone what was in it. The queen thought that it was pepper. The guards were sure that it was wine. One evening the kitchen maid hid under the table and watched. She saw him cut onions and carrots like any other cook. Then he looked around, opened a small blue tin, and let one spoon of honey fall into the pot.",
    question: "What was the secret of the soup?",
    lead: "The secret of the soup was",
    answer: "honey",
    wrong: ["pepper", "wine", "salt"],
  },
  {
    passage:
      "Two foxes wanted to cross the frozen pond. The older one put his ear to the ice, listened, and shook his head. The younger one laughed at him and ran ahead. In the middle the ice began to crack. He lay down flat, as he had once seen an otter do, and slid back on his belly like a wet glove. After that he too put his ear to the ice before he went anywhere, even in summer.",
    question: "Which animal had the young fox seen lying flat?",
    lead: "The young fox had seen an",
    answer: "otter",
    wrong: ["owl", "ox", "eagle"],
  },
];
