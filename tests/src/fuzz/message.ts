/** Messages made up from their definition: well-formed on the wire and senseless in what they say, or damaged as well. */
import type { Random } from '@atelier/api';
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { between, pick } from '@atelier/simulation/random';
import { chance, hostileNumbers, hostileTexts } from './mutate.ts';

/** A value that a field is given instead of a made-up one, so that a message gets past the first checks. */
export type Known = (field: DescField, random: Random) => string | bigint | undefined;

const depthMax = 5;

/** The bytes of a message. */
export function messageBytes(random: Random, schema: DescMessage, known: Known, depth = 0): Uint8Array {
  const writer = new BinaryWriter();
  for (const field of schema.fields) {
    const wanted = known(field, random);
    if (wanted === undefined && !chance(random, depth === 0 ? 0.6 : 0.35)) continue;
    const count = field.fieldKind === 'list' || field.fieldKind === 'map' ? countOf(random) : 1;
    for (let index = 0; index < count; index += 1) writeField(random, writer, field, known, wanted, depth);
  }
  if (chance(random, 0.02)) writer.tag(between(random, 1, 536_870_911), WireType.Varint).uint64(1n);
  return writer.finish();
}

/** How long a list is; rarely longer than anybody should take. */
function countOf(random: Random): number {
  return chance(random, 0.003) ? between(random, 100, 1200) : between(random, 0, 3);
}

function writeField(
  random: Random,
  writer: BinaryWriter,
  field: DescField,
  known: Known,
  wanted: string | bigint | undefined,
  depth: number,
): void {
  const message = field.message;
  if (field.fieldKind === 'map') {
    const entry = new BinaryWriter();
    writeScalar(random, entry, 1, field.mapKey, undefined);
    if (message) writeMessage(random, entry, 2, message, known, depth);
    else writeScalar(random, entry, 2, field.scalar ?? ScalarType.INT32, undefined);
    writer.tag(field.number, WireType.LengthDelimited).bytes(entry.finish());
  } else if (message) writeMessage(random, writer, field.number, message, known, depth);
  else if (field.enum && chance(random, 0.8)) {
    const { number } = pick(random, field.enum.values as never) as { number: number };
    writer.tag(field.number, WireType.Varint).int32(number);
  } else writeScalar(random, writer, field.number, field.scalar ?? ScalarType.INT32, wanted);
}

function writeMessage(
  random: Random,
  writer: BinaryWriter,
  number: number,
  schema: DescMessage,
  known: Known,
  depth: number,
): void {
  if (depth >= depthMax) return;
  writer.tag(number, WireType.LengthDelimited).bytes(messageBytes(random, schema, known, depth + 1));
}

function writeScalar(
  random: Random,
  writer: BinaryWriter,
  number: number,
  type: ScalarType,
  wanted: string | bigint | undefined,
): void {
  const value = BigInt.asUintN(64, typeof wanted === 'bigint' ? wanted : numberOf(random));
  switch (type) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      writer.tag(number, WireType.LengthDelimited).bytes(textBytes(random, wanted));
      return;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      writer.tag(number, WireType.Bit64).fixed64(value);
      return;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      writer.tag(number, WireType.Bit32).fixed32(Number(value & 0xffff_ffffn));
      return;
    default:
      writer.tag(number, WireType.Varint).uint64(value);
  }
}

function numberOf(random: Random): bigint {
  return chance(random, 0.5) ? BigInt(between(random, 0, 20)) : pick(random, hostileNumbers);
}

/** UTF-8, but now and then half a surrogate pair or stray bytes. */
function textBytes(random: Random, wanted: string | bigint | undefined): Uint8Array {
  if (typeof wanted === 'string') return Buffer.from(wanted);
  if (chance(random, 0.02)) return Buffer.from([0xed, 0xa0, 0x80]);
  if (chance(random, 0.02)) return Buffer.from([0xff, 0xfe, 0x00, 0xc0]);
  return Buffer.from(pick(random, hostileTexts));
}

/** The JSON of a message, in which numbers, texts and kinds are not always what they should be. */
export function messageJson(random: Random, schema: DescMessage, known: Known, depth = 0): string {
  const parts: string[] = [];
  for (const field of schema.fields) {
    const wanted = known(field, random);
    if (wanted === undefined && !chance(random, depth === 0 ? 0.6 : 0.35)) continue;
    const name = JSON.stringify(chance(random, 0.1) ? field.name : field.jsonName);
    parts.push(`${name}:${fieldJson(random, field, known, wanted, depth)}`);
    if (chance(random, 0.02)) parts.push(`${name}:null`);
  }
  if (chance(random, 0.03)) parts.push(`${JSON.stringify(pick(random, hostileTexts))}:{}`);
  return `{${parts.join(',')}}`;
}

function fieldJson(
  random: Random,
  field: DescField,
  known: Known,
  wanted: string | bigint | undefined,
  depth: number,
): string {
  const one = (): string => {
    if (field.message) return depth < depthMax ? messageJson(random, field.message, known, depth + 1) : '{}';
    if (field.enum && chance(random, 0.8))
      return JSON.stringify((pick(random, field.enum.values as never) as { name: string }).name);
    if (typeof wanted === 'string') return JSON.stringify(wanted);
    return strangeJson(random, field.scalar);
  };
  if (field.fieldKind === 'list') return `[${Array.from({ length: countOf(random) }, one).join(',')}]`;
  if (field.fieldKind !== 'map') return one();
  const entries = Array.from({ length: countOf(random) }, () => {
    return `${JSON.stringify(pick(random, hostileTexts))}:${one()}`;
  });
  return `{${entries.join(',')}}`;
}

function strangeJson(random: Random, type: ScalarType | undefined): string {
  if (chance(random, 0.05))
    return pick(random, ['null', '[]', '{}', 'NaN', '1e400', '-0', '""', '[[[[]]]]', '0x1']);
  if (type === ScalarType.STRING || type === ScalarType.BYTES) {
    const text = JSON.stringify(pick(random, hostileTexts));
    return chance(random, 0.03) ? '"\\ud800"' : text;
  }
  if (type === ScalarType.BOOL) return pick(random, ['true', 'false']);
  const number = String(numberOf(random));
  return chance(random, 0.3) ? `"${number}"` : number;
}
