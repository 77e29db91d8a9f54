import { z } from "zod";

/**
 * Text of bytes (latin1) as runs of a unit, so that a report shows 60 KB of blanks in one line. `{key}` in a
 * unit stands for a valid key, which differs between processes; `{key-first}` for one without its first
 * character, and so on.
 */
const text = z.array(z.tuple([z.string(), z.int().min(0)]).readonly()).readonly();
const field = z.tuple([text, text]).readonly();

const body = z.readonly(
  z.object({
    /** How HTTP/1 delimits it. HTTP/2 knows only whether there is a `content-length`. */
    framing: z.enum(["length", "chunked", "both", "none"]),
    pieces: z.array(text).readonly(),
    /** Added to the declared length. */
    lie: z.number(),
    trailers: z.array(field).readonly(),
  }),
);

const request = z.readonly(
  z.object({
    method: z.string(),
    target: text,
    authority: z.string().optional(),
    fields: z.array(field).readonly(),
    body: body.optional(),
  }),
);

/** What one client does on one connection: plain data, so that it can be minimised, printed and replayed. */
const conversation = z.readonly(
  z.object({
    /** Name of the listener. */
    listener: z.string(),
    /** 127.0.0.x: guards count per address. */
    from: z.int().min(1).max(254),
    version: z.enum(["1.0", "1.1", "2"]),
    requests: z.array(request).readonly(),
    /** How often the conversation is sent; concurrently over HTTP/2. */
    copies: z.int().min(1),
    /**
     * The client reads every response, or closes that many milliseconds after the last byte (over HTTP/2 with
     * RST_STREAM for `reset`), or closes after that part of its bytes.
     */
    ending: z.union([
      z.object({ kind: z.literal("read") }),
      z.object({ kind: z.literal("abort"), afterMs: z.number(), how: z.enum(["close", "reset"]) }),
      z.object({ kind: z.literal("cut"), at: z.number().min(0).max(1) }),
    ]),
    /** HTTP/2: bytes of a header block in each frame, and padding of DATA. */
    frames: z.readonly(z.object({ block: z.int().min(1), padding: z.int().min(0).max(255) })),
  }),
);

export type Text = z.infer<typeof text>;
export type Field = z.infer<typeof field>;
export type Body = z.infer<typeof body>;
export type Request = z.infer<typeof request>;
export type Conversation = z.infer<typeof conversation>;
export const conversationsSchema = z.array(conversation);

export function plain(literal: string): Text {
  return [[literal, 1]];
}

export type Expand = (text: Text) => string;

/** A valid key, and forms that are invalid. */
const KEY_FORMS: Readonly<Record<string, (key: string) => string>> = {
  "{key}": (key) => key,
  "{key-first}": (key) => key.slice(1),
  "{key-last}": (key) => key.slice(0, -1),
  "{key-lower}": (key) => key.toLowerCase(),
  "{key-header}": (key) => `~${key.slice(1)}`,
  "{key-claims}": (key) => key.replace(/\../, ".~"),
  "{key-signature}": (key) => `${key.slice(0, -3)}~~~`,
  "{key-unsigned}": (key) => key.replace(/[^.]*$/, ""),
};
export const KEYS = Object.keys(KEY_FORMS);
const KEY = /\{key[a-z-]*\}/g;

export function expandWith(key: string): Expand {
  const put = (unit: string) =>
    unit.includes("{key") ? unit.replace(KEY, (name) => KEY_FORMS[name]?.(key) ?? name) : unit;
  return (runs) => runs.map(([unit, times]) => put(unit).repeat(times)).join("");
}

/** The bytes of a conversation, and the expected responses. */
export interface Plan {
  readonly writes: readonly Buffer[];
  readonly responses: number;
  /** False when the client announces more than it sends: then no response may come. */
  readonly isComplete: boolean;
}

const MAX_BYTES = 4 * 1024 * 1024;

/** The repetitions of bytes: large ones are sent less often. */
export function copiesWithin(once: readonly Buffer[], copies: number): number {
  const bytes = once.reduce((sum, { length }) => sum + length, 1);
  return Math.max(1, Math.min(copies, Math.floor(MAX_BYTES / bytes)));
}
