import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { DeadlineList, type Entry } from "../../src/internal/deadlineList.ts"

/** The deadlines from the first on, and from the last back. */
const read = (list: DeadlineList, entries: ReadonlyArray<Entry>) => {
  const forward: Array<Entry> = []
  for (let entry = list.first; entry !== undefined; entry = entry.next) forward.push(entry)
  const backward: Array<Entry> = []
  const last = entries.find((entry) => entry.list === list && entry.next === undefined)
  for (let entry = last; entry !== undefined; entry = entry.previous) backward.push(entry)
  assert.deepStrictEqual(
    backward.toReversed().map((entry) => entries.indexOf(entry)),
    forward.map((entry) => entries.indexOf(entry))
  )
  return forward
}

const add = (list: DeadlineList, deadline: number): Entry => list.add(deadline, () => {})

describe("DeadlineList", () => {
  it("is empty at first and after the last removal", () => {
    const list = new DeadlineList()
    assert.isUndefined(list.first)
    const entry = add(list, 1)
    assert.strictEqual(list.first, entry)
    list.remove(entry)
    assert.isUndefined(list.first)
    assert.strictEqual(add(list, 2), list.first)
  })

  it("keeps entries in the order of their deadlines, and equal ones in the order in which they came", () => {
    const list = new DeadlineList()
    const entries = [5, 7, 5, 1, 9, 7, 1].map((deadline) => add(list, deadline))
    assert.deepStrictEqual(
      read(list, entries).map((entry) => entries.indexOf(entry)),
      [3, 6, 0, 2, 1, 5, 4]
    )
  })

  it("leaves alone an entry that is gone, or that is another list's", () => {
    const list = new DeadlineList()
    const other = new DeadlineList()
    const [first, second] = [add(list, 1), add(list, 2)]
    const foreign = add(other, 1)
    list.remove(first)
    list.remove(first)
    list.remove(foreign)
    assert.strictEqual(list.first, second)
    assert.strictEqual(other.first, foreign)
    assert.strictEqual(foreign.list, other)
    assert.isUndefined(first.list)
    assert.isUndefined(first.next)
    assert.isUndefined(first.previous)
  })

  it.prop(
    "does what a sorted array does",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Union([
            Schema.TaggedStruct("add", { deadline: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })) }),
            Schema.TaggedStruct("remove", { entry: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })) })
          ])
        ),
        { maxLength: 60 }
      )
    },
    ({ steps }) => {
      const list = new DeadlineList()
      const entries: Array<Entry> = []
      let sorted: Array<Entry> = []
      for (const step of steps) {
        if (step._tag === "add") {
          const entry = add(list, step.deadline)
          entries.push(entry)
          const place = sorted.findIndex((each) => each.deadline > step.deadline)
          sorted.splice(place === -1 ? sorted.length : place, 0, entry)
        } else {
          const entry = entries[step.entry]
          if (entry === undefined) continue
          list.remove(entry)
          sorted = sorted.filter((each) => each !== entry)
        }
        const found = read(list, entries)
        assert.deepStrictEqual(
          found.map((entry) => entries.indexOf(entry)),
          sorted.map((entry) => entries.indexOf(entry))
        )
        for (const entry of entries) assert.strictEqual(entry.list === list, sorted.includes(entry))
      }
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )
})
