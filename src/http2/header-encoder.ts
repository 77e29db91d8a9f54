/**
 * Encodes a header block (RFC 7541) of literal fields that do not enter the client's table. The encoding thus needs no state,
 * and equal fields always have equal bytes.
 * @param fields names and values are ASCII of less than 127 bytes
 */
export function encodeHeaderBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => encodeField(name, value)));
}

/** `:status: 200` in the static table (RFC 7541, appendix A), as an indexed field. */
const STATUS_200 = 0x88;
/** The name `:status` in the static table, for a literal field without indexing. */
const STATUS_NAME = 0x08;

function encodeField(name: string, value: string): Buffer {
  if (name === ":status" && value === "200") return Buffer.of(STATUS_200);
  const nameBytes = name === ":status" ? Buffer.of(STATUS_NAME) : Buffer.from([0, ...encodeString(name)]);
  return Buffer.from([...nameBytes, ...encodeString(value)]);
}

function encodeString(text: string): Buffer {
  if (text.length >= 127) throw new RangeError("a header of 127 bytes or more");
  return Buffer.from([text.length, ...Buffer.from(text, "latin1")]);
}
