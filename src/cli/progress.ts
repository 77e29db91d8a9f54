import type { Io } from "./io.ts";

const WIDTH = 30;

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
