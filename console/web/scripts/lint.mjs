// The few rules that the compiler does not hold, each with its reason.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const rules = [
  [/\bas any\b|:\s*any\b|<any>/, 'no any: read unknown values through model/read.ts'],
  [/@ts-(ignore|nocheck|expect-error)/, 'no switched-off type checks'],
  [/dangerouslySetInnerHTML|\.innerHTML|insertAdjacentHTML|document\.write/, 'text from outside is never markup'],
  [/\beval\(|new Function\(/, 'forbidden by the content security policy'],
  [/\bconsole\./, 'say it on the screen or not at all'],
  [/https?:\/\/(?!www\.w3\.org\/)/, 'no outside hosts'],
  [/setAttribute\(\s*['"]style/, 'forbidden by the content security policy'],
  [/\bTODO\b(?!\(#\d+\))/, 'TODO needs an issue number'],
]
const cyrillic = /[А-Яа-яЁё]/
const files = (dir) =>
  readdirSync(dir).flatMap((n) => {
    const p = join(dir, n)
    return statSync(p).isDirectory() ? files(p) : [p]
  })

let bad = 0
const say = (file, line, what) => {
  bad++
  process.stderr.write(`${relative(root, file)}:${line}: ${what}\n`)
}
for (const file of files(join(root, 'src')).filter((f) => /\.(tsx?|css)$/.test(f))) {
  const lines = readFileSync(file, 'utf8').split('\n')
  if (lines.length > 420) say(file, lines.length, 'longer than 420 lines: one idea a file')
  const dictionary = /i18n\/ru\.ts$/.test(file)
  lines.forEach((text, i) => {
    for (const [re, why] of rules) if (re.test(text)) say(file, i + 1, why)
    // Every word that people read stands in the dictionary, where the compiler sees that it has both languages.
    if (!dictionary && cyrillic.test(text.replace(/\/\/.*|\/?\*.*/, ''))) say(file, i + 1, 'Russian text outside i18n/ru.ts')
  })
}
if (bad) process.exit(1)
