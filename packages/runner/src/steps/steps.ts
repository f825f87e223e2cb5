/** All steps by name. */
import type { StepName } from '@atelier/reconcile';
import { configurationStep } from './configuration-step.ts';
import { contentStep } from './content-step.ts';
import { diskStep } from './disk-step.ts';
import { imageStep } from './image-step.ts';
import { instanceStep } from './instance-step.ts';
import { lifecycleStep } from './lifecycle-step.ts';
import { networkStep } from './network-step.ts';
import { releaseStep } from './release-step.ts';
import { rootStep } from './root-step.ts';
import { shutdownStep } from './shutdown-step.ts';
import type { StepFunction } from './step.ts';
import { stopStep } from './stop-step.ts';
import { supervisorStep } from './supervisor-step.ts';

/** What each step of the plan does. */
export const steps: Readonly<Record<StepName, StepFunction>> = {
  disk: diskStep,
  content: contentStep,
  configuration: configurationStep,
  image: imageStep,
  root: rootStep,
  network: networkStep,
  instance: instanceStep,
  supervisor: supervisorStep,
  lifecycle: lifecycleStep,
  shutdown: shutdownStep,
  stop: stopStep,
  release: releaseStep,
};
