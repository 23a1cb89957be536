/** Levels of arrays and objects in a body. @internal */
export const maxDepth = 64

/**
 * Whether a JSON text nests deeper than that. One pass, no recursion: a parser
 * or a schema that recurses must not see such a text.
 *
 * @internal
 */
export const isTooDeep = (text: string): boolean => {
  let depth = 0
  let isInString = false
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index)
    if (isInString) {
      if (char === 0x5c) index++
      else if (char === 0x22) isInString = false
    } else if (char === 0x22) isInString = true
    else if (char === 0x7b || char === 0x5b) {
      if (++depth > maxDepth) return true
    } else if (char === 0x7d || char === 0x5d) depth--
  }
  return false
}
