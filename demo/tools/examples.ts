// What the page begins with: schemas and functions to try, each with a request that suits it.

import type { Tool } from "../../src/index.ts";

export interface Example {
  name: string;
  ask: string;
  /** A JSON schema, or functions as OpenAI's interface has them. */
  value: object;
}

export const SCHEMAS: readonly Example[] = [
  {
    name: "A character",
    ask: "Invent a hero for a children's story.",
    value: {
      type: "object",
      properties: {
        name: { type: "string", minLength: 1, maxLength: 20 },
        age: { type: "integer", minimum: 1, maximum: 99 },
        animal: { enum: ["cat", "dog", "bird", "none"] },
        likes: { type: "array", items: { type: "string", minLength: 1, maxLength: 20 }, minItems: 1, maxItems: 3 },
      },
      required: ["name", "age", "animal", "likes"],
    },
  },
  {
    name: "A verdict",
    ask: "Is this review friendly? “The soup was cold, but the waiter was very kind.”",
    value: {
      type: "object",
      properties: {
        mood: { enum: ["good", "bad", "mixed"] },
        why: { type: "string", minLength: 1, maxLength: 80 },
      },
      required: ["mood", "why"],
    },
  },
  {
    name: "A list",
    ask: "Name three rivers and the continents they are on.",
    value: {
      type: "array",
      items: {
        type: "object",
        properties: {
          river: { type: "string", minLength: 1, maxLength: 20 },
          continent: { enum: ["Africa", "America", "Asia", "Australia", "Europe"] },
        },
        required: ["river", "continent"],
      },
      minItems: 3,
      maxItems: 3,
    },
  },
];

const functionOf = (name: string, description: string, properties: Record<string, object>): Tool["function"] => ({
  name,
  description,
  parameters: { type: "object", properties, required: Object.keys(properties), additionalProperties: false },
});

export const FUNCTIONS: Example = {
  name: "Weather and reminders",
  ask: "What is the weather in Oslo? Remind me to take an umbrella if it rains.",
  value: [
    functionOf("get_weather", "The weather in a city right now", {
      city: { type: "string", minLength: 1, maxLength: 30 },
    }),
    functionOf("remind", "Reminds the user of something", {
      text: { type: "string", minLength: 1, maxLength: 60 },
      hour: { type: "integer", minimum: 0, maximum: 23 },
    }),
  ],
};
