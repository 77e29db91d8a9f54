/** The slots of a Redis Cluster are numbered from 0. */
export const SLOTS = 16_384;

/** The slot of a Redis key, by the rule of a Cluster: CRC16 (XMODEM) of its hash tag, or of the whole name without one. */
export function hashSlot(name: string): number {
  let crc = 0;
  for (const byte of Buffer.from(taggedPart(name)))
    crc = ((crc << 8) & 0xffff) ^ (CRC16[((crc >> 8) ^ byte) & 0xff] ?? 0);
  return crc % SLOTS;
}

/** The text between the first brace and the first closing brace after it, unless it is empty. */
export function taggedPart(name: string): string {
  const open = name.indexOf("{");
  const close = name.indexOf("}", open + 1);
  return open === -1 || close <= open + 1 ? name : name.slice(open + 1, close);
}

const CRC16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  return crc;
});
