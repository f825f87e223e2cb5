import {
  AutomationsFileSchema,
  ServicePhase,
  ServiceRole,
  ServiceSchema,
  TaskSchema,
  type Service,
  type Task,
} from '@atelier/api/gitpod/environment_automation';
import { clone, create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { planUpsert, type UpsertPlan } from './upsert.ts';

const nothing = { create: [], update: [], remove: [] };

function fileOf(init: MessageInitShape<typeof AutomationsFileSchema>) {
  return create(AutomationsFileSchema, init);
}

const file = fileOf({
  services: {
    web: {
      name: 'Web',
      commands: { start: 'serve', ready: 'curl localhost' },
      triggeredBy: ['postEnvironmentStart', 'manual'],
      role: 'editor',
      dependsOn: ['db'],
    },
    db: { name: 'Database', commands: { start: 'postgres' } },
  },
  tasks: { build: { name: 'Build', command: 'make', triggeredBy: ['prebuild'], dependsOn: ['db'] } },
});

/** What is there after a plan was carried out. */
function carriedOut(plan: UpsertPlan): { services: Service[]; tasks: Task[] } {
  return {
    services: plan.services.create.map(({ metadata, spec }) =>
      create(ServiceSchema, { id: `id-${metadata.reference}`, metadata, spec }),
    ),
    tasks: plan.tasks.create.map(({ metadata, spec }) =>
      create(TaskSchema, { id: `id-${metadata.reference}`, metadata, spec }),
    ),
  };
}

describe('planUpsert', () => {
  it('creates what is new, stopped, with references for dependencies', () => {
    const plan = planUpsert(file, [], []);
    expect(plan.services.update).toEqual([]);
    const web = plan.services.create.find(({ metadata }) => metadata.reference === 'web');
    expect(web?.metadata).toMatchObject({ name: 'Web', role: ServiceRole.EDITOR });
    expect(web?.metadata.triggeredBy.map(({ trigger }) => trigger.case)).toEqual([
      'postEnvironmentStart',
      'manual',
    ]);
    expect(web?.spec).toMatchObject({ desiredPhase: ServicePhase.STOPPED, commands: { start: 'serve' } });
    expect(web?.dependsOn).toEqual(['db']);
    expect(web?.metadata.dependencies?.dependsOn).toEqual(['db']);
    expect(plan.tasks.create[0]?.metadata.dependencies?.dependsOnServices).toEqual(['db']);
    expect(plan.tasks.create[0]?.spec.command).toBe('make');
  });

  it('changes nothing the second time', () => {
    const { services, tasks } = carriedOut(planUpsert(file, [], []));
    expect(planUpsert(file, services, tasks)).toEqual({ services: nothing, tasks: nothing });
  });

  it('updates by reference and keeps what only the API sets', () => {
    const { services, tasks } = carriedOut(planUpsert(file, [], []));
    for (const service of services) {
      if (service.spec) service.spec.session = 'kept';
    }
    const changed = clone(AutomationsFileSchema, file);
    const other = fileOf({ services: { web: { commands: { start: 'other' } } } }).services['web'];
    Object.assign(changed.services['web'] ?? {}, { commands: other?.commands });
    const plan = planUpsert(changed, services, tasks);
    expect(plan.services.update).toHaveLength(1);
    expect(plan.services.update[0]).toMatchObject({ id: 'id-web', specWaits: false });
    expect(plan.services.update[0]?.spec).toMatchObject({
      session: 'kept',
      commands: { start: 'other', ready: '' },
    });
  });

  it.each([
    ['runs', { phase: ServicePhase.RUNNING, desired: ServicePhase.RUNNING }, true],
    ['is still stopping', { phase: ServicePhase.STOPPING, desired: ServicePhase.STOPPED }, true],
    ['is to start', { phase: ServicePhase.STOPPED, desired: ServicePhase.RUNNING }, true],
    ['failed', { phase: ServicePhase.FAILED, desired: ServicePhase.STOPPED }, false],
  ])('keeps the spec of a service that %s until it is stopped', (_what, { phase, desired }, waits) => {
    const { services, tasks } = carriedOut(planUpsert(file, [], []));
    const db = services.find(({ id }) => id === 'id-db');
    if (db?.spec) db.spec.desiredPhase = desired;
    if (db) db.status = create(ServiceSchema, { status: { phase } }).status;
    const changed = clone(AutomationsFileSchema, file);
    Object.assign(
      changed.services,
      fileOf({ services: { db: { name: 'DB', commands: { start: 'mysql' } } } }).services,
    );
    const [update] = planUpsert(changed, services, tasks).services.update;
    expect(update).toMatchObject({ id: 'id-db', specWaits: waits, metadata: { name: 'DB' } });
    expect(update?.spec.commands?.start).toBe(waits ? 'postgres' : 'mysql');
  });

  it('removes what the file does not name any more, but nothing that no file made', () => {
    const { services, tasks } = carriedOut(planUpsert(file, [], []));
    const [first] = services;
    if (first?.spec) first.spec.desiredPhase = ServicePhase.RUNNING;
    services.push(create(ServiceSchema, { id: 'by-hand' }));
    const plan = planUpsert(fileOf({}), services, tasks);
    expect(plan.services.remove).toEqual([
      { id: first?.id, stopFirst: true },
      { id: services[1]?.id, stopFirst: false },
    ]);
    expect(plan.tasks.remove).toEqual([{ id: 'id-build', stopFirst: false }]);
  });
});
