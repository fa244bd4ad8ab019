"""Makes `statistics.json`: what SciPy and statsmodels compute where this program uses the same method.

    pip install numpy scipy statsmodels scikit-learn
    python tests/golden/make_statistics.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(0)
out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__}}

out["proportions"] = []
for k, n in [(0, 10), (1, 50), (25, 50), (49, 50), (490, 500), (2500, 5000), (5000, 5000)]:
    for level in (0.9, 0.95, 0.99):
        out["proportions"].append({
            "hits": k, "n": n, "level": level,
            "wilson": proportion_confint(k, n, 1 - level, "wilson"),
            "clopper_pearson": list(stats.binomtest(k, n).proportion_ci(level, "exact"))})

out["mcnemar"] = []
for b, c in [(0, 0), (0, 5), (3, 3), (10, 2), (40, 61), (150, 101), (900, 1000)]:
    two = 1.0 if b + c == 0 else float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)
    worse = 1.0 if b + c == 0 else float(stats.binomtest(c, b + c, alternative="greater").pvalue)
    out["mcnemar"].append({"gained": b, "lost": c, "two_sided": two, "worse": worse})

out["permutation"] = []
for n in (5, 8, 11):
    d = np.round(rng.normal(0.3, 1, n), 3)
    found = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    out["permutation"].append({"differences": d.tolist(), "p": float(found.pvalue)})

p = np.round(rng.uniform(0, 0.2, 9), 4)
p[3] = p[5]
out["adjusted"] = {"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist(),
                   "benjamini_hochberg": multipletests(p, method="fdr_bh")[1].tolist()}

out["bca"] = []
for values in (rng.exponential(1, 40), (rng.uniform(size=60) < 0.9).astype(float)):
    index = rng.integers(0, len(values), (500, len(values)))
    replicates = values[index].mean(1)
    # n_resamples = 0 with an earlier result: SciPy's interval of these very replicates.
    first = stats.bootstrap((values,), np.mean, n_resamples=2, method="percentile", rng=np.random.default_rng(1))
    first.bootstrap_distribution = replicates
    for level in (0.9, 0.95):
        found = stats.bootstrap((values,), np.mean, n_resamples=0, method="BCa", confidence_level=level,
                                bootstrap_result=first)
        plain = stats.bootstrap((values,), np.mean, n_resamples=0, method="percentile", confidence_level=level,
                                bootstrap_result=first)
        out["bca"].append({"values": values.tolist(), "replicates": replicates.tolist(), "level": level,
                           "bca": list(found.confidence_interval),
                           "percentile": list(plain.confidence_interval)})

x, y = rng.uniform(0.3, 0.9, 12), rng.uniform(0.2, 0.8, 12)
fit = stats.linregress(np.log(x / (1 - x)), np.log(y / (1 - y)))
out["logit_fit"] = {"x": x.tolist(), "y": y.tolist(), "slope": fit.slope, "intercept": fit.intercept}

deviation, n = 0.4, 500
quantiles = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
out["power"] = {"deviation": deviation, "n": n, "detectable": quantiles * deviation / np.sqrt(n)}

a, b = rng.uniform(size=6), 1.7
out["harmonic"] = {"values": a.tolist(), "mean": float(stats.hmean(a))}

Path(__file__).with_name("statistics.json").write_text(json.dumps(out, indent=1) + "\n")
