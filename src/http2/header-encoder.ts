/**
 * A header block (RFC 7541) of literal fields, none of which enters the other side's table: what is sent needs no state, and
 * is the same bytes each time. Names and values are ASCII of less than 127 bytes.
 */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => fieldBytes(name, value)));
}

/** Of the static table (appendix A): `:status: 200`, and the place of the name `:status`. */
const STATUS_200 = 0x88;
const STATUS_NAME = 0x08;

function fieldBytes(name: string, value: string): Buffer {
  if (name === ":status" && value === "200") return Buffer.of(STATUS_200);
  const nameBytes = name === ":status" ? Buffer.of(STATUS_NAME) : Buffer.from([0, ...text(name)]);
  return Buffer.from([...nameBytes, ...text(value)]);
}

function text(value: string): Buffer {
  if (value.length >= 127) throw new RangeError("a header of 127 bytes or more");
  return Buffer.from([value.length, ...Buffer.from(value, "latin1")]);
}
