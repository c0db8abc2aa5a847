// Reads a list of {kind, text | object} and writes what is wrong with each, or null. The argument is the folder of packages.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const packages = path.join(process.argv[2], 'node_modules');
const load = (file) => import(pathToFileURL(path.join(packages, file)));

const models = {
  'argoproj.io/v1alpha1 AnalysisTemplate': '@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1/AnalysisTemplate.js',
  'argoproj.io/v1alpha1 Application': '@kubernetes-models/argo-cd/argoproj.io/v1alpha1/Application.js',
  'argoproj.io/v1alpha1 ApplicationSet': '@kubernetes-models/argo-cd/argoproj.io/v1alpha1/ApplicationSet.js',
  'monitoring.coreos.com/v1 PodMonitor': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor.js',
  'monitoring.coreos.com/v1 PrometheusRule': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule.js',
  'monitoring.coreos.com/v1 ServiceMonitor': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor.js',
};

async function problem({ kind, text, object }) {
  if (kind === 'logql') {
    const { parser } = await load('@grafana/lezer-logql/index.es.js');
    let at = null;
    parser.parse(text).iterate({ enter: (node) => { if (node.type.isError) at ??= node.from; } });
    return at === null ? null : `no query of Loki's, from ${JSON.stringify(text.slice(at, at + 40))} on`;
  }
  if (kind.startsWith('tekton.dev/')) {
    const lint = path.join(packages, '@ibm/tekton-lint/dist/lint.js');
    const said = spawnSync(process.execPath, [lint, '--max-warnings', '0', text], { encoding: 'utf8' });
    return said.status === 0 ? null : said.stdout + said.stderr;
  }
  if (!(kind in models)) return `nobody knows ${kind}`;
  const Model = (await load(models[kind]))[kind.split(' ')[1]];
  try {
    new Model(object).validate();
    return null;
  } catch (error) {
    return String(error);
  }
}

const problems = [];
for (const one of JSON.parse(readFileSync(0, 'utf8'))) problems.push(await problem(one));
process.stdout.write(JSON.stringify(problems));
