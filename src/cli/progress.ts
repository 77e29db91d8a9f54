import type { Io } from "./io.ts";

const WIDTH = 30;
/** Items between two updates of the counter. */
const SHOW_EVERY = 500;

/**
 * A progress bar over work of a known size, on a terminal only. Errors appear above the bar.
 * @param items what is counted beside the bar
 */
export function progressBar({ terminal, printError }: Io, size: number, items = "lines") {
  let shown = "";
  const draw = (text: string) => {
    terminal?.(`\r${text.padEnd(shown.length)}${text === "" ? "\r" : ""}`);
    shown = text;
  };
  return {
    show(done: number, count: number) {
      const share = size === 0 ? 1 : Math.min(1, done / size);
      const bar = "█".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, "░");
      draw(`${bar} ${Math.floor(share * 100)}%  ${count} ${items}`);
    },
    printError(text: string) {
      const before = shown;
      draw("");
      printError(text);
      if (before !== "") draw(before);
    },
    end() {
      if (shown !== "") terminal?.("\n");
    },
  };
}

/** A counter for an unknown number of items. Hidden if stdout is a terminal, because the items appear there. */
export function progressCount(io: Io, what: string) {
  const { stderr, stdout } = process;
  const shown = stderr.isTTY && !stdout.isTTY;
  let count = 0;
  return {
    one() {
      count++;
      if (shown && count % SHOW_EVERY === 0) stderr.write(`\r${count} ${what}`);
    },
    end() {
      if (shown) io.printError(`\r${count} ${what}`);
    },
  };
}
