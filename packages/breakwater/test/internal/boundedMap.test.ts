import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { BoundedMap } from "../../src/internal/boundedMap.ts"

interface Item {
  readonly key: number
  touched: boolean
  stays: boolean
}

const make = (capacity: number) => {
  let looks = 0
  const map = new BoundedMap<number, Item>(capacity, (item) => {
    looks++
    return !item.stays
  })
  return {
    map,
    add: (key: number, stays = false) => map.add(key, { key, touched: false, stays }, 0),
    keys: () => Array.from(map.entries.keys()).toSorted((a, b) => a - b),
    /** Looks at entries since the last call. */
    looks: () => {
      const before = looks
      looks = 0
      return before
    }
  }
}

describe("BoundedMap", () => {
  it("gives back what was added", () => {
    const { add, keys, map } = make(3)
    assert.isUndefined(map.get(1))
    assert.isTrue(add(1))
    assert.isTrue(add(2))
    assert.strictEqual(map.get(1)?.key, 1)
    assert.strictEqual(map.entries.size, 2)
    assert.deepStrictEqual(keys(), [1, 2])
    assert.deepStrictEqual(
      Array.from(map.entries.values(), ({ key }) => key),
      [1, 2]
    )
  })

  it("forgets the oldest when none was used", () => {
    const { add, keys } = make(3)
    for (let key = 1; key <= 10; key++) assert.isTrue(add(key))
    assert.deepStrictEqual(keys(), [8, 9, 10])
  })

  it("forgets one that was not used before one that was", () => {
    const { add, keys, map } = make(3)
    for (const key of [1, 2, 3]) add(key)
    map.get(1)
    map.get(3)
    add(4)
    assert.deepStrictEqual(keys(), [1, 3, 4])
  })

  it("forgets one that was used when all were", () => {
    for (const capacity of [1, 2, 5, 128, 500]) {
      const { add, map } = make(capacity)
      for (let key = 0; key < capacity; key++) {
        add(key)
        map.get(key)
      }
      assert.isTrue(add(1_000))
      assert.strictEqual(map.entries.size, capacity)
      assert.isDefined(map.get(1_000))
    }
  })

  it("refuses when all must stay, and takes again when one need not", () => {
    const { add, keys, map } = make(3)
    for (const key of [1, 2, 3]) add(key, true)
    assert.isFalse(add(4))
    assert.deepStrictEqual(keys(), [1, 2, 3])
    map.get(2)!.stays = false
    assert.isTrue(add(5))
    assert.deepStrictEqual(keys(), [1, 3, 5])
  })

  it("finds the one that may go behind many that must stay, after a few tries", () => {
    const { add, keys } = make(1_000)
    for (let key = 0; key < 1_000; key++) add(key, key !== 900)
    let tries = 1
    while (!add(5_000)) tries++
    assert.isAtMost(tries, Math.ceil(1_000 / 128))
    assert.notInclude(keys(), 900)
  })

  it("looks at a bounded number of entries at each addition, however many it holds", () => {
    const { add, looks, map } = make(10_000)
    for (let key = 0; key < 10_000; key++) add(key, key % 1_000 !== 999)
    assert.strictEqual(looks(), 0)
    for (let key = 10_000; key < 12_000; key++) {
      add(key, true)
      // Further than a slice once in this instant.
      assert.isAtMost(looks(), key === 10_000 ? 10_000 : 128)
      assert.isAtMost(map.entries.size, 10_000)
    }
  })

  it("gives the time of the addition to whoever says what may go", () => {
    const times: Array<number> = []
    const map = new BoundedMap<string, { touched: boolean }>(1, (_, now) => {
      times.push(now)
      return true
    })
    map.add("a", { touched: false }, 1)
    map.add("b", { touched: false }, 2)
    map.add("c", { touched: false }, 3)
    assert.deepStrictEqual(times, [2, 3])
  })

  it.prop(
    "never passes its capacity, and never forgets what must stay or what came last",
    {
      capacity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 })),
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            what: Schema.Literals(["add", "add", "add to stay", "get", "let go"]),
            key: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))
          })
        ),
        { maxLength: 80 }
      )
    },
    ({ capacity, steps }) => {
      const { add, keys, map } = make(capacity)
      const staying = new Set<number>()
      for (const { key, what } of steps) {
        const before = keys()
        if (what === "get") {
          assert.strictEqual(map.get(key) !== undefined, before.includes(key))
        } else if (what === "let go") {
          const item = map.get(key)
          if (item !== undefined) item.stays = false
          staying.delete(key)
        } else if (!before.includes(key)) {
          const added = add(key, what === "add to stay")
          // Only what is full of entries that must stay refuses.
          assert.strictEqual(added, before.length < capacity || before.some((each) => !staying.has(each)))
          if (added && what === "add to stay") staying.add(key)
          assert.strictEqual(keys().includes(key), added)
          assert.isAtLeast(keys().length, before.length)
        }
        assert.isAtMost(map.entries.size, capacity)
        assert.strictEqual(map.entries.size, keys().length)
        for (const each of staying) assert.include(keys(), each)
      }
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )

  it("goes further than a slice where all of it must stay, ten times a second at most", () => {
    let looks = 0
    const map = new BoundedMap<number, Item>(3_000, (item) => {
      looks++
      return !item.stays
    })
    const add = (key: number, now: number, stays = false) => map.add(key, { key, touched: false, stays }, now)
    for (let key = 0; key < 3_000; key++) add(key, 0, key < 2_000)
    for (let key = 3_000; key < 3_200; key++) assert.isTrue(add(key, 1), `${key} finds room`)
    for (const item of map.entries.values()) item.stays = true
    looks = 0
    for (let key = 4_000; key < 4_100; key++) assert.isFalse(add(key, 1_000))
    assert.isAtMost(looks, 3_000 + 99 * 128)
    looks = 0
    assert.isFalse(add(5_000, 1_100))
    assert.strictEqual(looks, 3_000)
  })
})
