/**
 * Counts wrong keys by address, and says how long an address that sent too many
 * is turned away. A minute begins with the first wrong key of an address.
 */
import { BoundedMap } from "../../internal/boundedMap.ts"

const limit = 10
const windowMillis = 60_000
const maxAddresses = 10_000

interface Count {
  touched: boolean
  startedAt: number
  wrong: number
}

/** @internal */
export class WrongKeys {
  private readonly counts = new BoundedMap<string, Count>(maxAddresses, () => true)

  /** Counts a wrong key. Returns the milliseconds to wait, or 0. */
  add(address: string, now: number): number {
    const peer = peerOf(address)
    let count = this.counts.get(peer)
    if (count === undefined) {
      count = { touched: false, startedAt: now, wrong: 0 }
      this.counts.add(peer, count, now)
    } else if (now - count.startedAt >= windowMillis) {
      count.startedAt = now
      count.wrong = 0
    }
    count.wrong++
    return count.wrong > limit ? count.startedAt + windowMillis - now : 0
  }
}

/**
 * One household or server has a whole /64 of IPv6. The text is cut at its
 * fourth group; `::` inside it stands for zeros, so nothing of the prefix is lost.
 *
 * @internal
 */
export const peerOf = (address: string): string => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!address.includes(":")) return address
  const [head = "", tail] = address.toLowerCase().split("::")
  const left = head === "" ? [] : head.split(":")
  const right = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? 0 : Math.max(8 - left.length - right.length, 0)
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right].slice(0, 4)
  return groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")
}
