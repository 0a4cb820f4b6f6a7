import os,io,sys,time,math,glob,zlib,random,numpy as np,sentencepiece as spm,torch,torch.distributed as dist,torch.nn.functional as F
from torch import nn
_A=None;_B=True;_C=False;_D='cuda';_E=1.;_G='momentum';_H='lr'
class Hyperparameters:data_path=os.environ.get('DATA_PATH','./data/datasets/fineweb10B_sp1024');train_files=os.path.join(data_path,'fineweb_train_*.bin');val_files=os.path.join(data_path,'fineweb_val_*.bin');tokenizer_path=os.environ.get('TOKENIZER_PATH','./data/tokenizers/fineweb_1024_bpe.model');seed=int(os.environ.get('SEED',1337));seq=int(os.environ.get('TRAIN_SEQ_LEN',1024));rows=int(os.environ.get('TRAIN_ROWS',64));max_wallclock_seconds=float(os.environ.get('MAX_WALLCLOCK_SECONDS',6e2));vocab=1024;dim=int(os.environ.get('MODEL_DIM',512));heads=8;layers=int(os.environ.get('NUM_LAYERS',9));lr=float(os.environ.get('LR',.001));reserve=float(os.environ.get('RESERVE_SECONDS',4.));stride=int(os.environ.get('EVAL_STRIDE',64));ttt_enabled=bool(int(os.environ.get('TTT_ENABLED','1')));ttt_lr=float(os.environ.get('TTT_LR',.003));ttt_epochs=int(os.environ.get('TTT_EPOCHS',2));ttt_chunk=int(os.environ.get('TTT_CHUNK_TOKENS',32768));ema=float(os.environ.get('EMA_DECAY',.997))
def shard(p):
	h=np.fromfile(p,dtype='<i4',count=256)
	if h[0]!=20240520:raise ValueError(p)
	return torch.from_numpy(np.fromfile(p,dtype='<u2',count=int(h[2]),offset=1024).astype(np.int64))
def load_val(a):t=torch.cat([shard(p)for p in sorted(glob.glob(a.val_files))]);n=(t.numel()-1)//a.seq*a.seq;return t[:n+1]
class Stream:
	def __init__(s,pat,r,w):s.f=sorted(glob.glob(pat));s.r=r;s.w=w;s.i=0;s.p=0;s.t=shard(s.f[0])
	def take(s,n):
		if s.p+n*s.w+1>s.t.numel():s.i=(s.i+1)%len(s.f);s.p=0;s.t=shard(s.f[s.i])
		b=s.p+s.r*n;s.p+=n*s.w;return s.t[b:b+n+1]
class Rotary(nn.Module):
	def __init__(s,d):super().__init__();s.register_buffer('inv',1e4**(-torch.arange(0,d,2).float()/d),persistent=_C)
	def forward(s,x):
		g=torch.arange(x.size(-2),device=x.device)[:,_A]*s.inv;c,i=g.cos().to(x.dtype),g.sin().to(x.dtype);a,b=x.chunk(2,-1);return torch.cat((a*c+b*i,b*c-a*i),-1)
class Attn(nn.Module):
	def __init__(s,a):super().__init__();s.h=a.heads;s.qkv=nn.Linear(a.dim,3*a.dim,bias=_C);s.o=nn.Linear(a.dim,a.dim,bias=_C);s.rot=Rotary(a.dim//a.heads);s.gain=nn.Parameter(torch.full((a.heads,),4.));nn.init.zeros_(s.o.weight)
	def forward(s,x):
		B,T,D=x.shape;q,k,v=s.qkv(x).view(B,T,3,s.h,D//s.h).permute(2,0,3,1,4);q=s.rot(F.rms_norm(q,(D//s.h,)))*s.gain[_A,:,_A,_A];k=s.rot(F.rms_norm(k,(D//s.h,)));y=F.scaled_dot_product_attention(q,k,v,is_causal=_B,scale=.125);n=F.normalize(v,dim=-1);y=y-(y*n).sum(-1,keepdim=_B)*n;return s.o(y.transpose(1,2).reshape(B,T,D))
class MLP(nn.Module):
	def __init__(s,a):super().__init__();s.u=nn.Linear(a.dim,4*a.dim,bias=_C);s.d=nn.Linear(4*a.dim,a.dim,bias=_C);nn.init.zeros_(s.d.weight)
	def forward(s,x):return s.d(F.leaky_relu(s.u(x),.5).square())
class Block(nn.Module):
	def __init__(s,a,i):super().__init__();s.a=Attn(a);s.m=MLP(a);s.c=1/math.sqrt(i+1);s.mix=nn.Parameter(torch.tensor([_E,.0]))
	def forward(s,x,x0):n=lambda z:F.rms_norm(z,(z.size(-1),))*s.c;x=s.mix[0]*x+s.mix[1]*x0;x=x+s.a(n(x));return x+s.m(n(x))
class GPT(nn.Module):
	def __init__(s,a):super().__init__();s.e=nn.Embedding(a.vocab,a.dim);s.b=nn.ModuleList([Block(a,i)for i in range(a.layers)]);nn.init.normal_(s.e.weight,std=.005)
	def forward_logits(s,x):
		h=x0=F.rms_norm(s.e(x),(s.e.embedding_dim,))
		for b in s.b:h=b(h,x0)
		return 30*torch.tanh(F.linear(F.rms_norm(h,(h.size(-1),)),s.e.weight)/30)
	def forward(s,x,y):return F.cross_entropy(s.forward_logits(x).flatten(0,1).float(),y.flatten())
def luts(a,dev):
	p=spm.SentencePieceProcessor(model_file=a.tokenizer_path);n=p.vocab_size();b=np.zeros(n,np.int16);l=np.zeros(n,np.bool_);e=np.ones(n,np.bool_)
	for i in range(n):
		if p.is_control(i)or p.is_unknown(i)or p.is_unused(i):continue
		e[i]=_C
		if p.is_byte(i):b[i]=1;continue
		w=p.id_to_piece(i)
		if w.startswith('▁'):l[i]=_B;w=w[1:]
		b[i]=len(w.encode('utf-8'))
	return tuple(torch.tensor(z,device=dev)for z in(b,l,e))
def eval_val_ttt(a,m,val,L,dev,r,w,log0):
	b,l,e=L;N=val.numel()-1;C=a.ttt_chunk;S=torch.zeros(3,device=dev,dtype=torch.float64);P=[p for p in m.parameters()if p.ndim==2];opt=torch.optim.SGD(P,lr=a.ttt_lr,momentum=.9);nc=(N+C-1)//C
	for ci in range(nc):
		c0,c1=ci*C,min((ci+1)*C,N);m.eval()
		with torch.inference_mode():
			for t in range(c0+r*a.stride,c1,w*a.stride):
				z=min(t+a.stride,c1);f=max(0,z-a.seq);q=val[f:z+1].to(dev);x,y=q[_A,:-1],q[_A,1:]
				with torch.autocast(device_type=dev.type,dtype=torch.bfloat16):g=m.forward_logits(x)
				k=F.cross_entropy(g[0].float(),y[0],reduction='none')[t-f:];u,v=x[0,t-f:],y[0,t-f:];S[0]+=k.double().sum();S[1]+=v.numel();S[2]+=(b[v]+(l[v]&~e[u]).to(torch.int16)).double().sum()
		if a.ttt_enabled and ci<nc-1:
			m.train();R=(c1-c0)//a.seq//w*w
			for pg in opt.param_groups:pg[_H]=a.ttt_lr*.5*(_E+math.cos(math.pi*ci/nc))
			for _ in range(a.ttt_epochs):
				for j in range(r,R,w):
					q=val[c0+j*a.seq:c0+(j+1)*a.seq+1].to(dev);opt.zero_grad(set_to_none=_B);m(q[_A,:-1],q[_A,1:]).backward()
					if w>1:[dist.all_reduce(p.grad,op=dist.ReduceOp.AVG)for p in P if p.grad is not _A]
					torch.nn.utils.clip_grad_norm_(P,_E);opt.step()
		if ci%100==0:log0(f"ttt {ci}/{nc}")
	if w>1:dist.all_reduce(S)
	s,n,y=S.tolist();return s/n,s/math.log(2)/y
def quant(sd):
	o={}
	for(k,t)in sd.items():
		t=t.detach().float().cpu()
		if t.ndim<2:o[k]=t.half()
		else:s=(t.abs().amax(1,keepdim=_B)/31).clamp_min(1e-8);o[k]=(t/s).round().clamp(-32,31).to(torch.int8),s.half()
	return o
def dequant(o):return{k:v[0].float()*v[1].float()if isinstance(v,tuple)else v.float()for(k,v)in o.items()}
def train(a,m,S,dev,w,log0):
	opt=torch.optim.AdamW(m.parameters(),lr=a.lr,betas=(.9,.95),weight_decay=.05);E={k:v.detach().clone()for(k,v)in m.state_dict().items()};t0=time.perf_counter();i=0
	while _B:
		el=time.perf_counter()-t0
		if el>a.max_wallclock_seconds-a.reserve:break
		for g in opt.param_groups:g[_H]=a.lr*min(_E,(i+1)/100,3*(_E-el/a.max_wallclock_seconds))
		q=S.take(a.rows*a.seq).to(dev);x,y=q[:-1].view(-1,a.seq),q[1:].view(-1,a.seq)
		with torch.autocast(device_type=dev.type,dtype=torch.bfloat16):L=m(x,y)
		opt.zero_grad(set_to_none=_B);L.backward()
		if w>1:[dist.all_reduce(p.grad,op=dist.ReduceOp.AVG)for p in m.parameters()]
		opt.step();i+=1
		for(k,v)in m.state_dict().items():E[k].lerp_(v.detach(),1-a.ema)
		if i%500==0:log0(f"step:{i} train_loss:{L.item():.4f} train_time:{1e3*el:.0f}ms")
	m.load_state_dict(E);log0(f"stopping_early: wallclock_cap train_time:{1e3*(time.perf_counter()-t0):.0f}ms step:{i}")
def main():
	a=Hyperparameters();r=int(os.environ.get('RANK',0));w=int(os.environ.get('WORLD_SIZE',1));dev=torch.device(_D,int(os.environ.get('LOCAL_RANK',0)));log0=print if r==0 else lambda*_:_A
	if w>1:dist.init_process_group('nccl')
	random.seed(a.seed);np.random.seed(a.seed);torch.manual_seed(a.seed);m=GPT(a).to(dev)
	if w>1:[dist.broadcast(p.data,0)for p in m.parameters()]
	train(a,m,Stream(a.train_files,r,w),dev,w,log0)
	if r==0:
		f=io.BytesIO();torch.save(quant(m.state_dict()),f);z=zlib.compress(f.getvalue(),9);open('final_model.int6.ptz','wb').write(z);log0(f"Total submission size int6+zlib: {len(z)+os.path.getsize(__file__)} bytes")
	if w>1:dist.barrier()
	m.load_state_dict(dequant(torch.load(io.BytesIO(zlib.decompress(open('final_model.int6.ptz','rb').read())))));t=time.perf_counter();vl,vb=eval_val_ttt(a,m,load_val(a),luts(a,dev),dev,r,w,log0);log0(f"legal_ttt eval_time:{1e3*(time.perf_counter()-t):.0f}ms");log0(f"final_int8_zlib_roundtrip_exact val_loss:{vl:.8f} val_bpb:{vb:.8f}")
	if w>1:dist.destroy_process_group()
if __name__=='__main__':main()
