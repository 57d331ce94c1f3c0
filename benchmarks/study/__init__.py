"""The paper's claims on many photos, in blocks of hours, with the scores kept in the repository.

    python -m benchmarks.study --root /path/to/imagenet-val-300 --hours 2

runs what ``rows.yaml`` lists and ``found/`` does not hold yet, a few photos of a row at a time, and
adds the scores of each photo to the row's folder, from which ``genattr report`` makes tables and
docs/results.md. Heatmaps are not kept.
"""
