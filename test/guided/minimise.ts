/** Removes as many bytes as possible from an input that fails, and keeps the failure. */
export function minimise(input: Buffer, fails: (smaller: Buffer) => boolean): Buffer {
  let smallest = input;
  for (
    let length = Math.ceil(input.length / 2);
    length > 0;
    length = length === 1 ? 0 : Math.ceil(length / 2)
  )
    for (let at = 0; at < smallest.length; ) {
      const smaller = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + length)]);
      if (fails(smaller)) smallest = smaller;
      else at += length;
    }
  return smallest;
}
