/** Compiles only where the types of the npm package, static/npm, are those of the script. */
import type { Sluice as Published } from '../npm/src/types';
import type { Sluice } from './api';

export const published = (script: Sluice): Published => script;
