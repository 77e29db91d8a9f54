import type { Io } from "./io.ts";

const WIDTH = 30;
/** A line on the terminal for so many. */
const SHOW_EVERY = 500;

/** How far a command is with its files. Only for people: a pipe gets nothing of it. */
export function progressBar(io: Io, size: number) {
  const { stderr } = process;
  return {
    show(bytes: number, lines: number) {
      if (!stderr.isTTY) return;
      const share = size === 0 ? 1 : Math.min(1, bytes / size);
      const done = "█".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, "░");
      stderr.write(`\r${done} ${Math.floor(share * 100)}%  ${lines} lines`);
    },
    end() {
      if (stderr.isTTY) io.complain("");
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
      if (shown) io.complain(`\r${count} ${what}`);
    },
  };
}
