/**
 * A chart over time, drawn by uPlot, with the states of the circuit behind it.
 */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import { clock, none } from "../model/format.ts"
import { stack } from "../model/series.ts"
import { factsOf } from "../model/states.ts"
import type { Band } from "../model/timeline.ts"
import { scheme } from "../store/theme.ts"

export interface Line {
  readonly label: string
  /** The class that carries its colour, as `line-…` in the style sheet. */
  readonly name: string
  readonly values: ReadonlyArray<number>
  /** Lines differ in more than colour. */
  readonly dash?: ReadonlyArray<number> | undefined
}

const variable = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

const bandColours = { bad: "bad", trying: "trying", held: "held", good: undefined, quiet: undefined } as const

const drawBands = (chart: uPlot, bands: ReadonlyArray<Band>): void => {
  const { ctx } = chart
  const { height, left, top, width } = chart.bbox
  for (const { from, state, to } of bands) {
    const colour = bandColours[factsOf(state).tone]
    if (colour === undefined) continue
    const [start, end] = [from, to].map((at) =>
      Math.min(left + width, Math.max(left, chart.valToPos(at / 1000, "x", true)))
    )
    if (end! <= start!) continue
    ctx.save()
    ctx.fillStyle = variable(colour)
    ctx.globalAlpha = 0.13
    ctx.fillRect(start!, top, end! - start!, height)
    ctx.globalAlpha = 1
    ctx.fillRect(start!, top, end! - start!, 3 * devicePixelRatio)
    ctx.restore()
  }
}

/** Points that a time of the day takes. */
const timeWidth = 54

const pairs = (values: ReadonlyArray<number>): Array<number | null> =>
  values.map((value) => (Number.isNaN(value) ? null : value))

export const Chart = ({
  at,
  bands,
  isStacked = false,
  lines,
  range,
  show,
  title
}: {
  readonly title: string
  /** Milliseconds. */
  readonly at: ReadonlyArray<number>
  readonly lines: ReadonlyArray<Line>
  readonly bands: ReadonlyArray<Band>
  readonly range: { readonly from: number; readonly to: number }
  readonly show: (value: number) => string
  readonly isStacked?: boolean
}) => {
  const holder = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | undefined>(undefined)
  const latest = useRef({ bands, range, show })
  latest.current = { bands, range, show }
  const shape = lines.map(({ name }) => name).join()

  useLayoutEffect(() => {
    const element = holder.current
    if (element === null) return
    const colours = { text: variable("muted"), grid: variable("border") }
    const font = `11px ${getComputedStyle(document.body).fontFamily}`
    const axis = {
      stroke: colours.text,
      font,
      grid: { stroke: colours.grid, width: 1 },
      ticks: { show: false }
    } satisfies uPlot.Axis
    const made = new uPlot(
      {
        width: Math.max(100, element.clientWidth),
        height: element.clientHeight,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { show: false } },
        padding: [8, 4, 0, 0],
        scales: {
          x: { time: true, range: () => [latest.current.range.from / 1000, latest.current.range.to / 1000] },
          y: { range: (_chart, _min, max) => [0, max > 0 ? max * 1.12 : 1] }
        },
        axes: [
          {
            ...axis,
            space: 70,
            size: 22,
            gap: 4,
            // A time that would be cut off at the edge is left out.
            values: (chart, splits) =>
              splits.map((split) =>
                chart.valToPos(split, "x") > chart.bbox.width / devicePixelRatio - timeWidth / 2
                  ? null
                  : clock(split * 1000)
              )
          },
          {
            ...axis,
            size: 54,
            space: 32,
            values: (_chart, splits) => splits.map((split) => latest.current.show(split))
          }
        ],
        series: [
          {},
          ...lines.map(({ dash, label, name }): uPlot.Series => {
            const colour = getComputedStyle(element.querySelector(`.${name}`) ?? element)
              .getPropertyValue("--line")
              .trim()
            return {
              label,
              stroke: colour,
              width: isStacked ? 1 : 1.75,
              ...(dash === undefined ? {} : { dash: [...dash] }),
              ...(isStacked ? { fill: colour } : {}),
              points: { show: false },
              spanGaps: false
            }
          })
        ],
        hooks: { drawAxes: [(chart) => drawBands(chart, latest.current.bands)] }
      },
      [[], ...lines.map(() => [])],
      element
    )
    chart.current = made
    const observer = new ResizeObserver(() => {
      made.setSize({ width: Math.max(100, element.clientWidth), height: element.clientHeight })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      chart.current = undefined
    }
  }, [shape, isStacked, scheme.value])

  useEffect(() => {
    // The one on top is drawn first, or it would hide the others.
    const values = lines.map((line) => line.values)
    const drawn = isStacked ? stack(values.toReversed()).toReversed() : values
    chart.current?.setData([at.map((each) => each / 1000), ...drawn.map(pairs)], true)
  })

  const words = lines.map(({ label, values }) => {
    const last = values.at(-1)
    return `${label} ${last === undefined || Number.isNaN(last) ? none : show(last)}`
  })
  return (
    <figure>
      <figcaption class="card-head">
        <h2>{title}</h2>
        <span class="card-aside">
          {lines.map(({ dash, label, name, values }) => {
            const last = values.at(-1)
            return (
              <span class="legend" key={name}>
                <span
                  class={`swatch ${name} ${isStacked ? "area" : dash === undefined ? "" : dash[0]! > 3 ? "dashed" : "dotted"}`}
                  aria-hidden="true"
                />
                {label}
                <strong>{last === undefined || Number.isNaN(last) ? none : show(last)}</strong>
              </span>
            )
          })}
        </span>
      </figcaption>
      <div class="chart" ref={holder} role="img" aria-label={`${title}, now: ${words.join(", ")}`}>
        {lines.map(({ name }) => (
          <span key={name} class={name} hidden />
        ))}
      </div>
    </figure>
  )
}
