import { useLayoutEffect } from "preact/hooks";

/** What keys do outside of fields. */
export interface ShortcutActions {
  /** `g` and then the key of a page. */
  goTo(key: string): void;
  /** `?` */
  help(): void;
  /** `/` */
  search(): void;
}

/** How long `g` waits for the next key. */
const SEQUENCE_MS = 1500;

/** Listens to the keyboard. Keys with Ctrl, Alt or Meta, keys in fields, and keys in dialogs are left alone. */
export function useShortcuts(actions: ShortcutActions): void {
  // Before the page is painted: who sees it may press a key.
  useLayoutEffect(() => {
    let goSinceMs = Number.NEGATIVE_INFINITY;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || isBusy(event.target)) return;
      const isSecond = event.timeStamp - goSinceMs < SEQUENCE_MS;
      goSinceMs = Number.NEGATIVE_INFINITY;
      if (isSecond) actions.goTo(event.key);
      else if (event.key === "g") goSinceMs = event.timeStamp;
      else if (event.key === "?") actions.help();
      else if (event.key === "/") actions.search();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [actions]);
}

function isBusy(target: EventTarget | null): boolean {
  const isField = target instanceof Element && target.closest("input, textarea, select, [contenteditable]");
  return Boolean(isField) || document.querySelector("dialog[open]") !== null;
}
