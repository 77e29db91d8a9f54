/** How entries of one kind are kept: as little as possible of each, by what it is about. */
export interface Packing<Entry, Packed extends { position: number }, Unpacked> {
  pack(entry: Entry, position: number): Packed;
  unpack(id: string, packed: Packed): Unpacked;
  /** Of two about the same the stronger one stays. */
  stronger(a: Packed, b: Packed): boolean;
}

export function createShelf<Entry, Packed extends { position: number }, Unpacked>(
  packing: Packing<Entry, Packed, Unpacked>,
) {
  const held = new Map<string, Packed>();
  return {
    get: (id: string) => held.get(id),
    put(id: string, entry: Entry, position: number) {
      const packed = packing.pack(entry, position);
      const known = held.get(id);
      if (known === undefined || packing.stronger(packed, known)) held.set(id, packed);
      else known.position = Math.max(known.position, position);
    },
    *entries() {
      for (const [id, packed] of held) yield packing.unpack(id, packed);
    },
    restamp(position: number) {
      for (const packed of held.values()) packed.position = position;
    },
    delete: (id: string) => void held.delete(id),
    dropWhere(gone: (packed: Packed, id: string) => boolean) {
      for (const [id, packed] of held) if (gone(packed, id)) held.delete(id);
    },
    size: () => held.size,
  };
}
