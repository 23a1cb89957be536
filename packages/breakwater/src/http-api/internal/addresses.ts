/**
 * Addresses and networks as text, and where `X-Forwarded-For` and `Forwarded`
 * hold them.
 */
import { builtinModule } from "./hostCrypto.ts"

type Family = "ipv4" | "ipv6"

interface BlockList {
  readonly addSubnet: (address: string, prefix: number, family: Family) => void
  readonly check: (address: string, family: Family) => boolean
}

interface Net {
  readonly isIP: (text: string) => number
  readonly BlockList: new () => BlockList
}

const net = builtinModule("node:net") as Net | undefined

/** `undefined`: this runtime compares no networks. @internal */
export const makeList = (): BlockList | undefined => (net?.BlockList === undefined ? undefined : new net.BlockList())

/** @internal */
export interface Address {
  readonly address: string
  readonly family: Family
}

const maxLength = 64
const mappedBits = 96
const bits: { readonly [F in Family]: number } = { ipv4: 32, ipv6: 128 }

// An IPv4 address that comes over IPv6 is the IPv4 address.
const unmapped = (text: string): string | undefined => {
  const [, dotted, high, low] =
    /^(?:0{0,4}:){0,5}:?ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(text) ?? []
  if (dotted !== undefined) return dotted
  if (high === undefined || low === undefined) return undefined
  const number = parseInt(high, 16) * 0x1_0000 + parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join(".")
}

const plain = (text: string): Address | undefined => {
  if (net === undefined || text.length > maxLength || text.includes("%")) return undefined
  switch (net.isIP(text)) {
    case 4:
      return { address: text, family: "ipv4" }
    case 6: {
      const address = unmapped(text)
      return address === undefined ? { address: text.toLowerCase(), family: "ipv6" } : { address, family: "ipv4" }
    }
    default:
      return undefined
  }
}

/** An address, with or without brackets and port. @internal */
export const parse = (text: string): Address | undefined => {
  const trimmed = text.trim()
  const [, bracketed, dotted] = /^(?:\[([^\]]{2,45})\]|(\d[\d.]{6,14}))(?::\d{1,5})?$/.exec(trimmed) ?? []
  const found = plain(bracketed ?? dotted ?? trimmed)
  // Only IPv6 stands in brackets.
  return bracketed !== undefined && !bracketed.includes(":") ? undefined : found
}

/** @internal */
export const parseNetwork = (text: string): (Address & { readonly prefix: number }) | undefined => {
  const [, address = "", digits] = /^([0-9a-f:.]{2,45})(?:\/(0|[1-9]\d{0,2}))?$/i.exec(text) ?? []
  const found = plain(address)
  if (found === undefined) return undefined
  const isMapped = found.family === "ipv4" && address.includes(":")
  const prefix = digits === undefined ? bits[found.family] : Number(digits) - (isMapped ? mappedBits : 0)
  return prefix < 0 || prefix > bits[found.family] ? undefined : { ...found, prefix }
}

const maxEntries = 64

/** `undefined`: too many to follow. @internal */
export const chainOf = (header: string): ReadonlyArray<string> | undefined => {
  const entries = header.split(",", maxEntries + 1)
  return entries.length > maxEntries ? undefined : entries
}

/** The values of `for` (RFC 7239). `undefined`: an element without one, or too many to follow. @internal */
export const chainOfForwarded = (header: string): ReadonlyArray<string> | undefined => {
  const entries: Array<string> = []
  for (const element of separated(header, ",")) {
    const values = separated(element, ";").flatMap((pair) => {
      const [, value] = /^\s*for=(.*)$/i.exec(pair) ?? []
      return value === undefined ? [] : [value.trim()]
    })
    const [value] = values
    if (value === undefined || values.length > 1 || entries.length >= maxEntries) return undefined
    entries.push(/^"(.*)"$/.exec(value)?.[1] ?? value)
  }
  return entries
}

/** A separator in quotes separates nothing. */
const separated = (text: string, separator: string): ReadonlyArray<string> => {
  const parts: Array<string> = []
  let start = 0
  let isQuoted = false
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (character === "\\" && isQuoted) index++
    else if (character === '"') isQuoted = !isQuoted
    else if (character === separator && !isQuoted) {
      parts.push(text.slice(start, index))
      start = index + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}
