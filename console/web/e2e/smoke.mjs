// smoke.mjs looks at a running engine through every role's console:
//   node e2e/smoke.mjs <data>/demo-access.json
// It fails on a script error, a request to another host, a finding of axe, or a
// stale banner.
import { readFileSync } from 'node:fs'
import AxeBuilder from '@axe-core/playwright'
import { fresh, logIn, openBrowser } from './browser.mjs'

const access = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const browser = await openBrowser()
let failed = 0
const check = (role, what, problems) => {
  process.stdout.write(`${problems.length ? 'FAIL' : 'ok  '} ${role}: ${what}\n${problems.map((p) => `     ${p}\n`).join('')}`)
  failed += problems.length
}
const axe = async (page) => {
  const found = await new AxeBuilder({ page }).analyze()
  return found.violations.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0]?.target.join(' ')}`)
}

try {
  for (const user of access.users.filter((u) => !u.simulated)) {
    for (const lang of ['ru', 'en']) {
      const { page, context, complaints } = await logIn(browser, access.console, user.login, user.password, { lang })
      const role = `${user.role} ${lang}`
      check(role, 'board: axe', await axe(page))
      await page.keyboard.press('j')
      await page.keyboard.press('Enter')
      await page.getByTestId('card').waitFor().catch(() => {})
      if ((await page.getByTestId('card').count()) > 0) {
        await page.getByTestId('journal-line').first().waitFor()
        check(role, 'card: axe', await axe(page))
      }
      await page.waitForTimeout(2_000) // a banner would have come by now
      const stale = await page.getByTestId('desk').getAttribute('data-stale')
      check(role, 'data are current', stale === 'false' ? [] : ['the stale banner is up'])
      await page.reload()
      await fresh(page)
      check(role, 'nothing to complain of', complaints)
      await context.close()
    }
  }
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
