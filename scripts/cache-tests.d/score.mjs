// Scores a run of the suite: score.mjs SUITE RESULTS WAIVED [--json] [--write FILE]
//
// A test counts only where all that it depends on passed. `required` and `optimal` tests pass or fail; `check` tests say yes or no.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [suite, resultsFile, waivedFile, ...options] = process.argv.slice(2)
const asJson = options.includes('--json')
const writeTo = options.includes('--write') ? options[options.indexOf('--write') + 1] : null

const groups = (await import(pathToFileURL(join(suite, 'tests/index.mjs')))).default
const results = JSON.parse(readFileSync(resultsFile, 'utf8'))
const waived = JSON.parse(readFileSync(waivedFile, 'utf8'))

const tests = new Map()
for (const group of groups) {
  for (const test of group.tests) {
    // Those for browsers are not run by the command line.
    if (!test.browser_only) tests.set(test.id, { group: group.id, kind: test.kind ?? 'required', needs: test.depends_on ?? [] })
  }
}

const known = new Map()
function passes (id) {
  if (known.has(id)) return known.get(id)
  known.set(id, false)
  const test = tests.get(id)
  const passed = test !== undefined && results[id] === true && test.needs.every(passes)
  known.set(id, passed)
  return passed
}

const score = {}
const failed = new Map()
const passing = []
for (const [id, test] of tests) {
  const kind = (score[test.kind] ??= { passed: 0, of: 0 })
  kind.of += 1
  if (passes(id)) {
    kind.passed += 1
    passing.push(id)
  } else if (test.kind !== 'check' && !(id in waived)) {
    const why = results[id] === true ? 'needs another' : (results[id]?.[1] ?? 'not run')
    if (!failed.has(test.group)) failed.set(test.group, [])
    failed.get(test.group).push({ id, kind: test.kind, why })
  }
}
passing.sort()

if (asJson) {
  console.log(JSON.stringify({ ...score, waived, failed: Object.fromEntries(failed) }))
} else {
  for (const kind of ['required', 'optimal', 'check']) console.log(`${kind}: ${score[kind].passed} of ${score[kind].of}`)
  console.log('\nwaived:')
  for (const [id, why] of Object.entries(waived)) console.log(`  ${id}: RFC ${why}`)
  console.log('\nnot passed:')
  for (const [group, list] of failed) {
    console.log(`  ${group}`)
    for (const { id, kind, why } of list) console.log(`    ${id} (${kind}): ${why}`)
  }
}

if (writeTo) {
  const begin = '<!-- cache-tests: begin -->'
  const end = '<!-- cache-tests: end -->'
  let page = readFileSync(writeTo, 'utf8')
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  const before = from < 0 ? [] : [...page.slice(from, to).matchAll(/^- `(.+)`$/gm)].map(match => match[1])
  const lost = before.filter(id => !passing.includes(id))
  const list = [...new Set([...before, ...passing])].sort()
  const section = [
    begin,
    '## HTTP caching: the public suite http-tests/cache-tests',
    '',
    `- Command: \`scripts/cache-tests DIR --write bench/RESULTS.md\``,
    ...['required', 'optimal', 'check'].map(kind => `- ${kind}: ${score[kind].passed} of ${score[kind].of}`),
    `- waived: ${Object.entries(waived).map(([id, why]) => `\`${id}\` (RFC ${why})`).join('; ')}`,
    '',
    'What passes; the list only grows.',
    '',
    ...list.map(id => `- \`${id}\``),
    end
  ].join('\n')
  page = from < 0 ? `${page.trimEnd()}\n\n${section}\n` : page.slice(0, from) + section + page.slice(to + end.length)
  writeFileSync(writeTo, page)
  if (lost.length > 0) {
    console.error(`passes no more: ${lost.join(' ')}`)
    process.exitCode = 1
  }
}
