import type { Io } from "./io.ts";

const WIDTH = 30;
/** A line on the terminal for so many. */
const SHOW_EVERY = 500;

/** How far a command is with its files. Only for people: a pipe gets nothing of it. What is complained of stands above it. */
export function progressBar({ terminal, printError: complain }: Io, size: number) {
  let shown = "";
  const draw = (text: string) => {
    terminal?.(`\r${text.padEnd(shown.length)}${text === "" ? "\r" : ""}`);
    shown = text;
  };
  return {
    show(bytes: number, lines: number) {
      const share = size === 0 ? 1 : Math.min(1, bytes / size);
      const done = "█".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, "░");
      draw(`${done} ${Math.floor(share * 100)}%  ${lines} lines`);
    },
    complain(text: string) {
      const before = shown;
      draw("");
      complain(text);
      if (before !== "") draw(before);
    },
    end() {
      if (shown !== "") terminal?.("\n");
    },
  };
}

/** The same where nobody knows how many there will be; not where the lines themselves go to a terminal. */
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
