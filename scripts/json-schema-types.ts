import type { z } from "zod";

const MAX_LINE_WIDTH = 110;

type Schema = z.core.JSONSchema.JSONSchema | boolean;

const MAX_COMMENT_WIDTH = 100;

/**
 * Writes an exported TypeScript declaration for each named JSON Schema (2020-12), with its descriptions as comments. A `$ref`
 * is the name of another declaration. Throws on keywords that the schemas of this project do not use.
 */
export function typeDeclarations(schemas: Readonly<Record<string, Schema>>): string {
  return Object.entries(schemas)
    .map(([name, schema]) => {
      const type = typeOf(schema, "");
      const declaration = type.startsWith("{") ? `export interface ${name} ${type}` : aliasOf(name, type);
      return `\n${comment(schema, "")}${declaration}\n`;
    })
    .join("");
}

/** A union that is wider than a line has one member per line, as the formatter writes it. */
function aliasOf(name: string, type: string): string {
  const line = `export type ${name} = ${type};`;
  if (line.length <= MAX_LINE_WIDTH) return line;
  const members = type.split(" | ").map((member) => `\n  | ${member}`);
  return `export type ${name} =${members.join("")};`;
}

function typeOf(schema: Schema, indent: string): string {
  if (typeof schema === "boolean") throw new Error("a boolean schema has no type");
  const { $ref, type, enum: values, const: value, anyOf } = schema;
  if ($ref !== undefined) return $ref;
  if (value !== undefined) return JSON.stringify(value);
  if (values !== undefined) return values.map((one) => JSON.stringify(one)).join(" | ");
  if (anyOf !== undefined) return unionType(anyOf, indent);
  const types: readonly string[] = [type ?? []].flat();
  return types.length === 0 ? "JsonValue" : types.map((one) => namedType(one, schema, indent)).join(" | ");
}

/** Members of more than one line begin lines of their own, as the formatter writes them. */
function unionType(members: readonly Schema[], indent: string): string {
  const types = members.map((one) => typeOf(one, indent));
  if (!types.some((type) => type.includes("\n"))) return types.join(" | ");
  return members.map((one) => `\n${indent}  | ${typeOf(one, `${indent}    `)}`).join("");
}

function namedType(type: string, schema: Exclude<Schema, boolean>, indent: string): string {
  switch (type) {
    case "string":
    case "boolean":
    case "null":
      return type;
    case "integer":
    case "number":
      return "number";
    case "array":
      return arrayType(schema, indent);
    case "object":
      return objectType(schema, indent);
    default:
      throw new Error(`no TypeScript type for the JSON Schema type ${type}`);
  }
}

function arrayType({ items }: Exclude<Schema, boolean>, indent: string): string {
  if (items === undefined || Array.isArray(items)) throw new Error("an array needs one schema for its items");
  const item = typeOf(items, indent);
  return isUnion(items) ? `readonly (${item})[]` : `readonly ${item}[]`;
}

function isUnion(schema: Schema): boolean {
  if (typeof schema === "boolean") return false;
  return schema.anyOf !== undefined || schema.enum !== undefined || Array.isArray(schema.type);
}

function objectType(schema: Exclude<Schema, boolean>, indent: string): string {
  const { properties, required = [], additionalProperties = {} } = schema;
  if (properties === undefined) return `Readonly<Record<string, ${typeOf(additionalProperties, indent)}>>`;
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(([name, property]) => {
    const key = /^\w+$/.test(name) ? name : JSON.stringify(name);
    const optional = required.includes(name) ? "" : "?";
    const type = typeOf(property, inner);
    const space = type.startsWith("\n") ? "" : " ";
    return `${comment(property, inner)}${inner}readonly ${key}${optional}:${space}${type};\n`;
  });
  return `{\n${members.join("")}${indent}}`;
}

/** The description as a JSDoc comment, wrapped into lines. */
function comment(schema: Schema, indent: string): string {
  const description = typeof schema === "boolean" ? undefined : schema.description;
  if (description === undefined) return "";
  const lines: string[] = [];
  for (const word of description.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length >= MAX_COMMENT_WIDTH) lines.push(word);
    else lines.push(`${lines.pop()} ${word}`);
  }
  const [only = "", ...rest] = lines;
  if (rest.length === 0) return `${indent}/** ${only} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}
