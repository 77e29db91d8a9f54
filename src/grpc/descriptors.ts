import { readFileSync } from "node:fs";
import type { ProtobufReader } from "./protobuf-reader.ts";
import { openReader, readByteString, readInner, readMessage, readText } from "./protobuf-reader.ts";

/** A compiled proto file. */
export interface ProtoFile {
  /** An encoded FileDescriptorProto. */
  readonly bytes: Buffer;
  readonly name: string;
  /** Full names. */
  readonly services: readonly string[];
  /** Full names of its services, and of its messages and enums that no other message encloses. */
  readonly symbols: readonly string[];
}

/** Compiled by protoc (`node scripts/descriptors.ts`). The folder `proto` is beside both `src` and `dist`. */
const DESCRIPTORS = new URL("../../proto/descriptors.pb", import.meta.url);

/** Reads proto/descriptors.pb, a FileDescriptorSet. Throws on any other content, because the file is part of this program. */
export function readDescriptors(): readonly ProtoFile[] {
  const bytes = readFileSync(DESCRIPTORS);
  const files: ProtoFile[] = [];
  readMessage(openReader(bytes), bytes.length, files, (reader, tag, end, into) => {
    if (tag !== F1) return false;
    into.push(readFile(Buffer.from(readByteString(reader, end), "latin1")));
    return true;
  });
  return files;
}

/** Tags of length-delimited fields, by their numbers in google/protobuf/descriptor.proto. */
const F1 = 0x0a;
const F2 = 0x12;
const F4 = 0x22;
const F5 = 0x2a;
const F6 = 0x32;

interface FileFields {
  name: string;
  package: string;
  readonly services: string[];
  /** Relative to the package. */
  readonly types: string[];
}

function readFile(bytes: Buffer): ProtoFile {
  const file: FileFields = { name: "", package: "", services: [], types: [] };
  readMessage(openReader(bytes), bytes.length, file, readFileField);
  const fullName = (name: string) => (file.package === "" ? name : `${file.package}.${name}`);
  const services = file.services.map(fullName);
  return { bytes, name: file.name, services, symbols: [...services, ...file.types.map(fullName)] };
}

function readFileField(reader: ProtobufReader, tag: number, end: number, file: FileFields): boolean {
  if (tag === F1) file.name = readText(reader, end);
  else if (tag === F2) file.package = readText(reader, end);
  else if (tag === F4 || tag === F5) file.types.push(readName(reader, end));
  else if (tag === F6) file.services.push(readName(reader, end));
  else return false;
  return true;
}

/** The name of a message, enum or service is field 1 of each. */
function readName(reader: ProtobufReader, end: number): string {
  const definition = { name: "" };
  readInner(reader, end, definition, readNameField);
  return definition.name;
}

function readNameField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  definition: { name: string },
): boolean {
  if (tag !== F1) return false;
  definition.name = readText(reader, end);
  return true;
}
