import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeAtelier } from './atelier.ts';
import { fileProbes } from './escape/file-probes.ts';
import { forgeryCases } from './escape/forgery-cases.ts';
import { kernelProbes } from './escape/kernel-probes.ts';
import { needs } from './escape/needs.ts';
import { networkProbes } from './escape/network-probes.ts';
import { powerProbes } from './escape/power-probes.ts';
import { places } from './escape/probe.ts';
import { whyNotHere } from './machine.ts';
import { notItsTurn } from './rotation.ts';
import { openScene, type Scene } from './escape/scene.ts';
import { trapCases } from './escape/trap-cases.ts';

const groups = {
  files: fileProbes,
  kernel: kernelProbes,
  power: powerProbes,
  network: networkProbes,
};
const probes = Object.values(groups).flat();

describeAtelier(
  'escape',
  (atelier) => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await openScene(atelier(), probes, needs);
    });
    afterAll(() => scene?.close());

    it('has a name for each probe', () => {
      expect(new Set(probes.map(({ name }) => name)).size).toBe(probes.length);
    });

    describe.each(places)('from a place of kind %s', (place) => {
      describe.each(Object.keys(groups) as (keyof typeof groups)[])('%s', (group) => {
        const here = groups[group].filter(({ where = places }) => where.includes(place));
        it.for(here)('$name', ({ name, control }, { skip }) => {
          const known = scene.controls[control].get(name);
          skip(known?.verdict === 'absent', known?.detail);
          // An attack that is stopped where nothing is protected shows nothing.
          expect(known, `blind: the attack does not get through in the control (${control})`).toMatchObject({
            verdict: 'through',
          });
          const found = scene.outcomes[place].get(name);
          expect(found?.verdict, JSON.stringify(found)).toMatch(/^(held|absent)$/);
        });
      });
    });

    describe('root inside still has what development needs', () => {
      it.each(needs)('$name', ({ name }) => {
        expect(scene.powerless.get(name), 'blind: it works without any right').toMatchObject({
          verdict: 'held',
        });
        for (const place of places) {
          expect({ place, ...scene.outcomes[place].get(name) }).toMatchObject({ place, verdict: 'through' });
        }
      });
    });

    forgeryCases(() => scene);
    trapCases(atelier, () => scene);
  },
  whyNotHere() ?? notItsTurn(2),
);
