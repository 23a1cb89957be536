/**
 * Whether a request asks for a type by its name. `*` asks for nothing in
 * particular.
 *
 * @internal
 */
export const accepts = (accept: string | undefined, type: string): boolean =>
  (accept ?? "").split(",").some((range) => {
    const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
    return name === type && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
