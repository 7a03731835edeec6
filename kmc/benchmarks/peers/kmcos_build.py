# The benchmark model of kmcos 1.1.0, as its comparison was first measured; kept to the letter below this header.
# It runs in the peer's own environment (see docs/how-to/peer-benchmark.md) and is never imported here.

"""kmcos 3-D simple-cubic lattice gas: one species, six directed hops, rate 1 per vacant neighbour."""
from kmcos.types import *
from kmcos.io import *
import kmcos, numpy as np, sys
model_name = 'latgas3d'
kmc_model = kmcos.create_kmc_model(model_name) if hasattr(kmcos,'create_kmc_model') else Project()
kmc_model.set_meta(author='bench', email='none@none.none', model_name=model_name, model_dimension=3)
kmc_model.add_species(name='empty', color='#ffffff')
kmc_model.add_species(name='A', color='#ff0000', representation="Atoms('Ag')")
kmc_model.species_list.default_species = 'empty'
layer = kmc_model.add_layer(name='sc')
layer.sites.append(Site(name='s', pos='0.5 0.5 0.5', default_species='empty'))
kmc_model.lattice.cell = np.diag([3.0, 3.0, 3.0])
kmc_model.add_parameter(name='k', value=1.0)
c0 = kmc_model.lattice.generate_coord('s.(0,0,0).sc')
for nm, off in dict(xp=(1,0,0), xm=(-1,0,0), yp=(0,1,0), ym=(0,-1,0), zp=(0,0,1), zm=(0,0,-1)).items():
    c1 = kmc_model.lattice.generate_coord('s.(%d,%d,%d).sc' % off)
    kmc_model.add_process(name='hop_'+nm, rate_constant='k',
        conditions=[Condition(species='A', coord=c0), Condition(species='empty', coord=c1)],
        actions=[Action(species='empty', coord=c0), Action(species='A', coord=c1)])
backend = sys.argv[1] if len(sys.argv) > 1 else 'local_smart'
kmc_model.backend = backend
kmc_model.clear_model(model_name, backend=backend) if hasattr(kmc_model,'clear_model') else None
kmc_model.save_model() if hasattr(kmc_model,'save_model') else kmc_model.save(model_name+'.xml')
kmcos.compile(kmc_model) if hasattr(kmcos,'compile') else kmcos.export(model_name+'.xml -b'+backend)
