// Where the page is, as the address has it: at the models, or in a conversation (?chat=…). Back and Forward lead through.

/** A conversation's id; null: the models. */
export type Place = string | null;

const here = (): Place => new URLSearchParams(location.search).get("chat");

const addressOf = (place: Place): string => {
  const url = new URL(location.href);
  url.search = place === null ? "" : `?chat=${encodeURIComponent(place)}`;
  return url.href;
};

export interface Places {
  here(): Place;
  /** A new entry, unless the page is there already. */
  go(place: Place): void;
  /** The entry of now stands for another place. */
  stay(place: Place): void;
  /** The address asks for a model (?model=…): what it asked for replaces it. */
  readonly isAsking: boolean;
}

/** `onMove`: the user went back or forward to a place. */
export function places(onMove: (place: Place) => void): Places {
  addEventListener("popstate", () => onMove(here()));
  return {
    here,
    go: (place) => void (place !== here() && history.pushState(null, "", addressOf(place))),
    get isAsking() {
      return new URLSearchParams(location.search).has("model");
    },
    stay: (place) => history.replaceState(null, "", addressOf(place)),
  };
}

/** An id that no other conversation has. */
export const newPlace = (): string => Date.now().toString(36) + Math.random().toString(36).slice(2, 6);
