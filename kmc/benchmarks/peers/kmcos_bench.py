# The benchmark model of kmcos 1.1.0, as its comparison was first measured; kept to the letter below this header.
# It runs in the peer's own environment (see docs/how-to/peer-benchmark.md) and is never imported here.

"""usage: bench_kmcos.py L nevents reps  (run inside latgas3d_local_smart/). events/s = steps / wall of model.do_steps"""
import sys, time, numpy as np, os
sys.path.insert(0, os.getcwd())
from kmcos.run import KMC_Model
nx,ny,nz = map(int, sys.argv[1].split('x')); nev=int(float(sys.argv[2])); reps=int(sys.argv[3])
m = KMC_Model(size=[nx,ny,nz], print_rates=False, banner=False)
rng = np.random.default_rng(1)
N = nx*ny*nz
t0=time.perf_counter()
cfg = np.zeros((nx,ny,nz,1), dtype=int); flat = rng.permutation(N)[:N//10]
A = m.proclist.a; E = m.proclist.empty
cfg[...] = E; c = cfg.reshape(-1); c[flat] = A
m._set_configuration(cfg); m._adjust_database()
t1=time.perf_counter()
print(f'setup {t1-t0:.2f} s', flush=True)
m.do_steps(10000)
for r in range(reps):
    s0=m.base.get_kmc_step(); T0=float(m.base.get_kmc_time()); t=time.perf_counter(); m.do_steps(nev); dt=time.perf_counter()-t
    n = m.base.get_kmc_step()-s0; T=float(m.base.get_kmc_time())-T0
    print(f'kmcos {nx}x{ny}x{nz} N={N} rep={r} events={n} wall={dt:.4f} ev/s={n/dt:.0f}  rate/site={n/T/N:.4f}', flush=True)
occ = m._get_configuration(); print('particles', (occ==A).sum(), 'of', N//10)
