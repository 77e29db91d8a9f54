import { createSocket } from "node:dgram";
import { once } from "node:events";

const HEADER_BYTES = 12;
const TYPE_A = 1;

export interface Dns {
  readonly port: number;
  /** The addresses of every name from now on. */
  answer(addresses: readonly string[]): void;
  stop(): Promise<void>;
}

/** A DNS server on loopback that resolves every name to these IPv4 addresses, with a TTL of one second. */
export async function startDns(first: readonly string[]): Promise<Dns> {
  let addresses = first;
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    socket.send(replyTo(query, addresses), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    answer: (now) => {
      addresses = now;
    },
    stop: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

/** RFC 1035 §4: the question and one A record each; none for another type of record. */
function replyTo(query: Buffer, addresses: readonly string[]): Buffer {
  const nameEnd = query.indexOf(0, HEADER_BYTES);
  const question = query.subarray(HEADER_BYTES, nameEnd + 5);
  const asked = question.readUInt16BE(question.length - 4);
  const answers = asked === TYPE_A ? addresses : [];
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  const records = answers.map((address) =>
    Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split(".").map(Number)]),
  );
  return Buffer.concat([header, question, ...records]);
}
